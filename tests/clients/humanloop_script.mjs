// What a user of humanloop 0.5.36 from npm writes. Run with GATEWAY set; prints one JSON object of what it saw.

import { Humanloop, HumanloopError } from "humanloop";

const client = new Humanloop({ apiKey: "anything", basePath: process.env.GATEWAY });
const seen = {};
const asked = { project: "support", inputs: { name: "Ada" } };

async function flow(name, what) {
  try {
    seen[name] = await what();
  } catch (error) {
    seen[name] = `${error.constructor.name}: ${error.message}`;
  }
}

async function samples(response) {
  const found = {};
  const decoder = new TextDecoder();
  for await (const chunk of response.data) {
    const { output, index } = JSON.parse(decoder.decode(chunk));
    found[index] = (found[index] ?? "") + output;
  }
  return found;
}

await flow("deployed", async () => {
  const { data } = await client.completeDeployed({ ...asked });
  const [one] = data.data;
  return [one.index, one.output, one.finish_reason, one.inputs];
});

await flow("unicode", async () => {
  const { data } = await client.completeDeployed({ project: "support", inputs: { name: "日本" } });
  return data.data[0].output;
});

await flow("stream", async () => samples(await client.completeDeployedStream({ ...asked })));

await flow("unicode_stream", async () =>
  samples(await client.completeDeployedStream({ project: "support", inputs: { name: "日本 é".repeat(500) } })),
);

await flow("samples_stream", async () =>
  samples(await client.completeDeployedStream({ project: "vendor", inputs: { name: "Ada" }, num_samples: 2 })),
);

await flow("chat", async () => {
  const messages = [{ role: "user", content: "hi" }];
  const { data } = await client.chatDeployed({ project: "vendor", inputs: { name: "Ada" }, messages });
  return [data.data[0].output, data.data[0].output_message.role];
});

await flow("feedback", async () => {
  const { data } = await client.completeDeployed({ ...asked });
  const answer = await client.feedback({ type: "rating", value: "good", data_id: data.data[0].id });
  return [answer.data.type, answer.data.value, answer.data.data_id === data.data[0].id];
});

await flow("log", async () => {
  const { data: made } = await client.log({ project: "support", output: "logged by node" });
  const { data: changed } = await client.logs.update({ id: made.id, output: "changed" });
  const { data: page } = await client.logs.list({ projectId: made.project_id, size: 50 });
  return [changed.id === made.id, changed.output, page.records.some((one) => one.id === made.id)];
});

await flow("session", async () => {
  const { data: made } = await client.sessions.create();
  const { data: answer } = await client.completeDeployed({ ...asked, session_id: made.id });
  const { data: found } = await client.sessions.get({ id: made.id });
  return [answer.session_id === made.id, found.datapoints_count];
});

await flow("project", async () => {
  const { data: answer } = await client.completeDeployed({ ...asked });
  const { data: found } = await client.projects.getActiveConfig({ id: answer.project_id });
  return [found.project_name, found.config.model];
});

await flow("refused", async () => {
  try {
    await client.completeDeployed({ project: "nobody", inputs: {} });
  } catch (error) {
    return [error instanceof HumanloopError, error.status, typeof error.responseBody.detail];
  }
});

console.log(JSON.stringify(seen));
