// What each function is told: of the stage's variables those that it reads, and where in SSM its secrets lie.
const { env } = process;
const { reembedWorkers } = require("./choices.js");

const DATABASE = ["SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_TIMEOUT_S"];
const STORAGE = ["STORAGE", "STORAGE_TIMEOUT_S"];
const CLIP = ["CLIP_MODEL", "CLIP_TEXT_MODEL"]; // where their files are is this machine's affair, or the image's
const MODELS = [
  "EMBEDDER", ...CLIP, "ROBOFLOW_API_URL", "ROBOFLOW_CONCURRENCY",
  "NEXT_EMBEDDER", ...CLIP.map((name) => `NEXT_${name}`),
];
const ALL = [
  ...DATABASE, ...STORAGE, ...MODELS, "BUCKETS", "LINK_EXPIRES_S", "KEEP_ASKED_TEXTS", "POWERTOOLS_LOG_LEVEL",
];
const VARIABLES = {
  search: [...ALL, "AUTH", "REQUESTS_PER_MINUTE", "TRUSTED_HOPS", "CORS_ORIGINS", "PICTURE_QUERIES"],
  index: [...ALL, "PREVIEWS"],
  webhook: [...ALL, "PREVIEWS"],
  reembed: [...ALL, "PREVIEWS", "ACTIVATE", "KEEP_RETIRED_DAYS", "REEMBED_WORKERS"],
  audit: [...ALL, "PREVIEWS"],
};

const SERVICE_KEY = "SUPABASE_SERVICE_ROLE_KEY";
const SECRETS = {
  search: [SERVICE_KEY, "ROBOFLOW_API_KEY", "SUPABASE_JWT_SECRET"],
  index: [SERVICE_KEY, "ROBOFLOW_API_KEY"],
  webhook: [SERVICE_KEY, "ROBOFLOW_API_KEY", "WEBHOOK_SECRET", "WEBHOOK_SECRET_BEFORE"],
  reembed: [SERVICE_KEY, "ROBOFLOW_API_KEY"],
  audit: [SERVICE_KEY, "ROBOFLOW_API_KEY"],
};

const given = {
  ...env,
  REEMBED_WORKERS: String(reembedWorkers),
  // The roles on S3 are for one bucket, so no function follows another.
  ...(env.STORAGE === "s3" ? { BUCKETS: env.S3_BUCKET } : {}),
};

// Of a secret only its place goes further than this, and which version it is. infra/aws/osls.py names versions; without,
// as when osls is run by hand, it is the newest.
const version = (secret) => env[`${secret}_VERSION`];
const secrets = (name) => SECRETS[name].filter((secret) => secret === SERVICE_KEY || version(secret) || env[secret]);
const place = (stage, secret) => `/pixseek/${stage}/${secret}`;
const pinned = (stage, secret) => [place(stage, secret), version(secret)].filter(Boolean).join(":");

const environment = (stage, name) => ({
  ...Object.fromEntries(VARIABLES[name].filter((key) => given[key]).map((key) => [key, given[key]])),
  SSM_PARAMETERS: secrets(name).map((secret) => pinned(stage, secret)).join(","),
  POWERTOOLS_SERVICE_NAME: `pixseek-${stage}`, // also a dimension of the metrics: a stage's own are told apart
  PYDANTIC_DISABLE_PLUGINS: "__all__", // or every cold start looks for some among all packages
});

const arn = (stage, secret) => ({
  "Fn::Sub": `arn:\${AWS::Partition}:ssm:\${AWS::Region}:\${AWS::AccountId}:parameter${place(stage, secret)}`,
});

module.exports = async ({ resolveVariable }) => {
  const stage = await resolveVariable("sls:stage");
  const each = (make) => Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, make(name)]));
  return {
    variables: each((name) => environment(stage, name)),
    parameters: each((name) => secrets(name).map((secret) => arn(stage, secret))),
  };
};
