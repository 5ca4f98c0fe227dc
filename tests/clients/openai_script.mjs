// What users of openai and of ai (with @ai-sdk/openai and @ai-sdk/openai-compatible) from npm write. Run with
// OPENAI_BASE_URL and OPENAI_API_KEY set; prints one JSON object of what it saw.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";

const client = new OpenAI();
const seen = {};
const model = "gpt-4o-mini";
const messages = [{ role: "user", content: "hi" }];
const parameters = { type: "object", properties: { city: { type: "string" } } };
const weather = { type: "function", function: { name: "get_weather", description: "d", parameters } };

async function flow(name, what) {
  try {
    seen[name] = await what();
  } catch (error) {
    seen[name] = `${error.constructor.name}: ${error.message}`;
  }
}

await flow("chat", async () => {
  const answer = await client.chat.completions.create({ model, messages });
  return [answer.choices[0].message.content, answer.choices[0].finish_reason, answer.usage.total_tokens];
});

await flow("stream", async () => {
  const stream = await client.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  return [text, usage.total_tokens];
});

await flow("tools_stream", async () => {
  const runner = client.chat.completions.stream({ model: `${model}~tool2`, messages, tools: [weather] });
  const { choices } = await runner.finalChatCompletion();
  return choices[0].message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
});

await flow("embeddings", async () => {
  const { data } = await client.embeddings.create({ model: "openai/text-embedding-3-small", input: ["one", "two"] });
  return data.map((one) => [one.index, one.embedding.length > 0]);
});

await flow("models", async () => {
  const ids = [];
  for await (const one of client.models.list()) ids.push(one.id);
  return ids.slice(0, 2);
});

await flow("responses", async () => {
  const answer = await client.responses.create({ model, input: "hi" });
  return answer.output_text;
});

await flow("responses_stream", async () => {
  const stream = client.responses.stream({ model, input: "hi" });
  return (await stream.finalResponse()).output_text;
});

await flow("refused", async () => {
  try {
    await client.chat.completions.create({ model: "no-such-model", messages });
  } catch (error) {
    return [error instanceof OpenAI.NotFoundError, error.status, error.code, error.param];
  }
});

await flow("failing_stream", async () => {
  let text = "";
  try {
    const stream = await client.chat.completions.create({ model: `${model}~serr`, messages, stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  } catch (error) {
    return [text, error instanceof OpenAI.APIError];
  }
});

// the same for the AI SDK's three ways to this API
const compatible = createOpenAICompatible({
  name: "gateway",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: "anything",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const openai = createOpenAI();
const ways = { chat: openai.chat, responses: openai.responses, compatible: (name) => compatible(name) };
const city = { description: "d", inputSchema: jsonSchema(parameters), execute: async ({ city }) => `sunny in ${city}` };

for (const [way, named] of Object.entries(ways)) {
  await flow(`ai_${way}`, async () => {
    const { text, finishReason, usage } = await generateText({ model: named(model), prompt: "hi" });
    return [text, finishReason, usage.totalTokens];
  });

  await flow(`ai_${way}_stream`, async () => {
    const result = streamText({ model: named(model), prompt: "hi" });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    return [text, await result.finishReason, (await result.usage).totalTokens];
  });

  await flow(`ai_${way}_tools`, async () => {
    // this vendor asks for the tool first and answers then, each time
    const asked = { model: named("groq/openai/gpt-oss-20b"), prompt: "hi", tools: { get_weather: tool(city) } };
    const { steps, text } = await generateText({ ...asked, stopWhen: stepCountIs(5) });
    return [steps[0].toolResults.map((one) => [one.toolName, one.input, one.output]), steps.length, text];
  });

  await flow(`ai_${way}_tools_stream`, async () => {
    const result = streamText({ model: named(`${model}~tool`), prompt: "hi", tools: { get_weather: tool(city) } });
    return (await result.toolCalls).map((call) => [call.toolName, call.input]);
  });

  await flow(`ai_${way}_object`, async () => {
    const output = Output.object({ schema: jsonSchema({ ...parameters, required: ["city"] }) });
    const result = await generateText({ model: named(`${model}~json`), prompt: "hi", output });
    return result.output;
  });
}

await flow("ai_embeddings", async () => {
  const { embeddings } = await embedMany({
    model: openai.embedding("openai/text-embedding-3-small"),
    values: ["one", "two"],
  });
  return embeddings.map((one) => one.length > 0);
});

await flow("ai_refused", async () => {
  try {
    await generateText({ model: openai.chat("no-such-model"), prompt: "hi", maxRetries: 0 });
  } catch (error) {
    return [error.name, error.statusCode, error.isRetryable];
  }
});

console.log(JSON.stringify(seen));
