// OpenAI's JavaScript SDK as a client: it makes the calls on its standard input and prints the answers.
// Usage: sdk.mjs ADDRESS KEY, with a JSON list of {header, session, stream, text} on standard input.
import OpenAI from "openai";
import { text } from "node:stream/consumers";

const [address, apiKey] = process.argv.slice(2);

async function answer(call) {
  const client = new OpenAI({ baseURL: `${address}/v1`, apiKey, defaultHeaders: { [call.header]: call.session } });
  const asked = { model: "any", messages: [{ role: "user", content: call.text }], stream: call.stream };
  const given = await client.chat.completions.create(asked);
  if (!call.stream) return given.choices[0].message.content;
  let content = "";
  for await (const chunk of given) content += chunk.choices[0].delta.content ?? "";
  return content;
}

const answers = [];
for (const call of JSON.parse(await text(process.stdin))) answers.push(await answer(call));
process.stdout.write(JSON.stringify(answers));
