// What each function is told: of the stage's variables those that it reads, and where in SSM its secrets lie.
const { env } = process;

const DATABASE = ["SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_TIMEOUT_S"];
const STORAGE = ["STORAGE", "STORAGE_TIMEOUT_S"];
const CLIP = ["CLIP_MODEL", "CLIP_TEXT_MODEL"]; // where their files are is this machine's affair, or the image's
const MODELS = [
  "EMBEDDER", ...CLIP, "ROBOFLOW_API_URL", "ROBOFLOW_CONCURRENCY",
  "NEXT_EMBEDDER", ...CLIP.map((name) => `NEXT_${name}`),
];
const ALL = [...DATABASE, ...STORAGE, ...MODELS, "POWERTOOLS_LOG_LEVEL"];
const VARIABLES = {
  search: [
    ...ALL, "AUTH", "REQUESTS_PER_MINUTE", "TRUSTED_HOPS", "CORS_ORIGINS", "LINK_EXPIRES_S", "PICTURE_QUERIES",
    "KEEP_ASKED_TEXTS",
  ],
  index: [...ALL, "BUCKETS", "PREVIEWS"],
  webhook: [...ALL, "BUCKETS", "PREVIEWS"],
  reembed: [...ALL, "PREVIEWS", "ACTIVATE", "KEEP_RETIRED_DAYS", "REEMBED_WORKERS", "KEEP_ASKED_TEXTS"],
  audit: [...ALL, "BUCKETS", "PREVIEWS"],
};

const SERVICE_KEY = "SUPABASE_SERVICE_ROLE_KEY";
const SECRETS = {
  search: [SERVICE_KEY, "ROBOFLOW_API_KEY", "SUPABASE_JWT_SECRET"],
  index: [SERVICE_KEY, "ROBOFLOW_API_KEY"],
  webhook: [SERVICE_KEY, "ROBOFLOW_API_KEY", "WEBHOOK_SECRET", "WEBHOOK_SECRET_BEFORE"],
  reembed: [SERVICE_KEY, "ROBOFLOW_API_KEY"],
  audit: [SERVICE_KEY, "ROBOFLOW_API_KEY"],
};

// The roles on S3 are for one bucket, so no function follows another.
const given = env.STORAGE === "s3" ? { ...env, BUCKETS: env.S3_BUCKET } : env;

// Of a secret only its place goes further than this, and whether there is one.
const places = (stage, name) =>
  SECRETS[name]
    .filter((secret) => secret === SERVICE_KEY || env[secret])
    .map((secret) => `/pixseek/${stage}/${secret}`);

const environment = (stage, name) => ({
  ...Object.fromEntries(VARIABLES[name].filter((key) => given[key]).map((key) => [key, given[key]])),
  SSM_PARAMETERS: places(stage, name).join(","),
  POWERTOOLS_SERVICE_NAME: `pixseek-${stage}`, // also a dimension of the metrics: a stage's own are told apart
  PYDANTIC_DISABLE_PLUGINS: "__all__", // or every cold start looks for some among all packages
});

const arn = (place) => ({
  "Fn::Sub": `arn:\${AWS::Partition}:ssm:\${AWS::Region}:\${AWS::AccountId}:parameter${place}`,
});

module.exports = async ({ resolveVariable }) => {
  const stage = await resolveVariable("sls:stage");
  const each = (make) => Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, make(name)]));
  return {
    variables: each((name) => environment(stage, name)),
    parameters: each((name) => places(stage, name).map(arn)),
  };
};
