// Making a recovery phrase: it is shown once, some of its words are asked for, and only
// then does it count.

import { $, field, make, onDo, onSubmit, run, show } from "./dom.ts";
import type { Care } from "./manage.ts";
import { newPhrase, phraseIdentity, phraseMethod, phraseWords } from "./phrase.ts";
import { Problem } from "./problem.ts";

const askedWords = 3;

let care: Care;
let words: string[] = [];
let asked: number[] = [];
let ready = false;

export function savePhrase(current: Care, button: HTMLButtonElement): void {
  care = current;
  if (!ready) {
    ready = true;
    onDo({ "copy-phrase": (b) => void run(undefined, "", () => copy(b)), "phrase-cancel": () => void care.show().then(clear) });
    onSubmit("check-form", (values, b) => void run(b, "Saving the recovery phrase", () => check(values)));
  }
  void run(button, "Making words", async () => {
    words = await newPhrase();
    $("words").replaceChildren(...words.map((word) => make("li", "", word)));
    askFor();
    show("phrase");
  });
}

function askFor(): void {
  const places = new Set<number>();
  while (places.size < askedWords) places.add((crypto.getRandomValues(new Uint8Array(1))[0] ?? 0) % phraseWords);
  asked = [...places].sort((a, b) => a - b);
  const fields = asked.flatMap((place) => {
    const label = make("label", "", `Word ${place + 1}`);
    const input = make("input");
    label.htmlFor = input.id = input.name = `word-${place}`;
    Object.assign(input, { required: true, autocomplete: "off", spellcheck: false, autocapitalize: "none" });
    return [label, input];
  });
  $("asked").replaceChildren(...fields);
}

async function copy(button: HTMLButtonElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(words.join(" "));
  } catch (error) {
    throw new Problem("failed", "The browser did not let the words be copied. Write them down.", { cause: error });
  }
  button.textContent = "Copied";
}

async function check(values: FormData): Promise<void> {
  const wrong = asked.filter((place) => field(values, `word-${place}`).toLowerCase() !== words[place]).map((place) => place + 1);
  if (wrong.length > 0) throw new Problem("refused", `Not as it was shown: word ${wrong.join(", word ")}. Look at what you wrote.`);
  const identity = await phraseIdentity(words.join(" "));
  await care.door.backend.addMethod(care.session, phraseMethod(identity));
  clear();
  await care.show("The recovery phrase opens your identity from now on. Keep it well.");
}

/** The words stay nowhere but on paper. */
function clear(): void {
  words = [];
  $("words").replaceChildren();
  $("asked").replaceChildren();
}
