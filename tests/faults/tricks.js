// What a page can try on a server that is not its own. `attack(base, asked, read)` resolves to
// {sent: how many requests that would have the server work, read: {trick: what it could read}}.
//
// `asked` are [path, body] of requests that cost something; each trick puts a mark of its own into the body.
// `read` are paths whose answers are nobody else's business: {data, script, image}.

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const patience = 5000;

// A promise that comes true at the latest when patience ends.
const within = (promise) => Promise.race([promise, wait(patience)]);

// An element whose loading tells something about a foreign answer: "loaded", or nothing.
const element = (name, attribute, url, more = {}) => within(new Promise((done) => {
  const made = Object.assign(document.createElement(name), more);
  made.onload = made.onloadedmetadata = () => done("loaded");
  made.onerror = () => done(null);
  made[attribute] = url;
  document.body.append(made);
}));

// A frame's document, if this page may look into it.
const framed = (frame) => {
  try {
    return frame.contentDocument.body.innerText || null;
  } catch {
    return null;
  }
};

const form = (url, kind, fields) => within(new Promise((done) => {
  const name = "f" + Math.random();
  const frame = Object.assign(document.createElement("iframe"), { name, onload: () => done(framed(frame)) });
  const sent = Object.assign(document.createElement("form"), { method: "post", action: url, enctype: kind, target: name });
  for (const [key, value] of fields) {
    sent.append(Object.assign(document.createElement("input"), { name: key, value }));
  }
  document.body.append(frame, sent);
  sent.submit();
}));

const xhr = (url, kind, body) => within(new Promise((done) => {
  const asked = new XMLHttpRequest();
  asked.onload = () => done(asked.status < 400 ? asked.responseText : null);
  asked.onerror = () => done(null);
  asked.open(body === undefined ? "GET" : "POST", url);
  if (kind) asked.setRequestHeader("content-type", kind);
  asked.send(body);
}));

const text = async (answer) => (answer.ok ? (await answer.text()) || null : null);
const multipart = (body) => { const made = new FormData(); made.append("body", body); return made; };
const halves = (body) => { const at = body.indexOf(":") + 2; return [[body.slice(0, at), body.slice(at)]]; };

const SENDING = {
  "fetch text/plain": (url, body) => fetch(url, { method: "POST", mode: "no-cors", headers: { "content-type": "text/plain" }, body }).then(text),
  "fetch with credentials": (url, body) => fetch(url, { method: "POST", mode: "no-cors", credentials: "include", body }).then(text),
  "fetch without a type": (url, body) => fetch(url, { method: "POST", mode: "no-cors", body: new Blob([body]) }).then(text),
  "fetch urlencoded": (url, body) => fetch(url, { method: "POST", mode: "no-cors", body: new URLSearchParams({ body }) }).then(text),
  "fetch multipart": (url, body) => fetch(url, { method: "POST", mode: "no-cors", body: multipart(body) }).then(text),
  "fetch json": (url, body) => fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body }).then(text),
  "fetch cors text/plain": (url, body) => fetch(url, { method: "POST", body }).then(text),
  "fetch keepalive": (url, body) => fetch(url, { method: "POST", mode: "no-cors", keepalive: true, body }).then(text),
  "fetch without a referrer": (url, body) => fetch(url, { method: "POST", mode: "no-cors", referrerPolicy: "no-referrer", body }).then(text),
  "fetch PUT": (url, body) => fetch(url, { method: "PUT", headers: { "content-type": "application/json" }, body }).then(text),
  "beacon": async (url, body) => { navigator.sendBeacon(url, body); return null; },
  "beacon json": async (url, body) => { navigator.sendBeacon(url, new Blob([body], { type: "application/json" })); return null; },
  "xhr text/plain": (url, body) => xhr(url, "text/plain", body),
  "xhr json": (url, body) => xhr(url, "application/json", body),
  "form text/plain": (url, body) => form(url, "text/plain", halves(body)),
  "form urlencoded": (url, body) => form(url, "application/x-www-form-urlencoded", [["body", body]]),
  "form multipart": (url, body) => form(url, "multipart/form-data", [["body", body]]),
};

const READING = {
  "fetch": ({ data }) => fetch(data).then(text),
  "fetch with credentials": ({ data }) => fetch(data, { credentials: "include" }).then(text),
  "fetch no-cors": ({ data }) => fetch(data, { mode: "no-cors" }).then(text),
  "xhr": ({ data }) => xhr(data),
  "image": ({ image }) => element("img", "src", image),
  "script": ({ script }) => element("script", "src", script),
  "data as script": ({ data }) => element("script", "src", data),
  "style": ({ data }) => element("link", "href", data, { rel: "stylesheet" }),
  "module": ({ script }) => within(import(script).then((found) => Object.keys(found).join())),
  "worker": ({ script }) => within(new Promise((done) => {
    const source = `try { importScripts(${JSON.stringify(script)}); postMessage("loaded") } catch { postMessage(null) }`;
    const worker = new Worker(URL.createObjectURL(new Blob([source])));
    worker.onmessage = (event) => done(event.data);
    worker.onerror = () => done(null);
  })),
  "frame": ({ data }) => within(new Promise((done) => {
    const frame = Object.assign(document.createElement("iframe"), { src: data, onload: () => done(framed(frame)) });
    document.body.append(frame);
  })),
  "video": ({ data }) => element("video", "src", data),
  "EventSource": ({ data }) => within(new Promise((done) => {
    const source = new EventSource(data);
    const end = (said) => () => { source.close(); done(said); };
    source.onopen = end("opened");
    source.onmessage = end("heard");
    source.onerror = end(null);
  })),
  "WebSocket": ({ data }) => within(new Promise((done) => {
    const socket = new WebSocket(data.replace(/^http/, "ws"));
    socket.onopen = () => done("opened");
    socket.onerror = socket.onclose = () => done(null);
  })),
};

const attack = async (base, asked, paths, label) => {
  const read = {};
  const tried = [];
  const attempt = (name, trick, ...given) =>
    tried.push(Promise.resolve().then(() => trick(...given)).catch(() => null).then((said) => { if (said) read[name] = String(said).slice(0, 200); }));
  let sent = 0;
  for (const [path, body] of asked) {
    for (const [name, trick] of Object.entries(SENDING)) {
      const mark = `mark-${label}-${sent++}-${name.replace(/\W+/g, "_")}`;
      attempt(`${name} ${path}`, trick, base + path, JSON.stringify(body).replaceAll("MARK", mark));
    }
  }
  const urls = Object.fromEntries(Object.entries(paths).map(([kind, path]) => [kind, base + path]));
  for (const [name, trick] of Object.entries(READING)) attempt(name, trick, urls);
  await Promise.all(tried);
  return { sent, tried: tried.length, read };
};
