// fetch as a client: it makes the calls on its standard input and prints the answers.
// Usage: fetch.mjs ADDRESS KEY, with a JSON list of {header, session, stream, text} on standard input.
import { text } from "node:stream/consumers";

const [address, key] = process.argv.slice(2);

async function answer(call) {
  const response = await fetch(`${address}/v1/chat/completions`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json", [call.header]: call.session },
    body: JSON.stringify({ messages: [{ role: "user", content: call.text }], stream: call.stream }),
  });
  if (!response.ok) throw new Error(await response.text());
  if (!call.stream) return (await response.json()).choices[0].message.content;
  const lines = (await response.text()).split("\n\n").filter((line) => line && line !== "data: [DONE]");
  const chunks = lines.map((line) => JSON.parse(line.slice("data: ".length)));
  return chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
}

const answers = [];
for (const call of JSON.parse(await text(process.stdin))) answers.push(await answer(call));
process.stdout.write(JSON.stringify(answers));
