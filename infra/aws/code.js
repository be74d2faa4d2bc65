// What runs in each function: its zip of build/aws, or the one image of a stage that names one (IMAGE).
const { env } = process;
const { architecture, functions } = require("./choices.js");

const ENTRIES = {
  search: ["search_images", "aws.handler"],
  index: ["index_image", "aws.index_queued_events"],
  webhook: ["index_image", "aws.index_supabase_webhook"],
  reembed: ["reembed_images", "aws.handler"],
  audit: ["audit_index", "aws.handler"],
};
const WITH_MODEL_MB = 3008; // the model's weights, and as many cores as new accounts get

const zip = (folder, entry) => ({
  handler: `functions/${folder}/${entry}`,
  package: { artifact: `build/aws/${architecture}/${folder}.zip` },
});
const image = (folder, entry) => ({
  image: { uri: env.IMAGE, command: [`functions/${folder}/${entry}`] },
  memorySize: WITH_MODEL_MB,
});

const code = env.IMAGE ? image : zip;
module.exports = Object.fromEntries(functions.map((name) => [name, code(...ENTRIES[name])]));
