// Which pieces of infra/aws make up a stage's stack, and how much of it. The stage's variables decide.
const { env } = process;

const flag = (name, usual) => {
  const value = env[name] || usual;
  if (value !== "true" && value !== "false") throw new Error(`${name} is neither true nor false`);
  return value === "true";
};
const listed = (name) => (env[name] || "").split(",").map((one) => one.trim()).filter(Boolean);
const piece = (isWanted, name) => (isWanted ? name : "nothing");
const capital = (name) => name[0].toUpperCase() + name.slice(1);

const storage = env.STORAGE || "supabase";
const isS3 = storage === "s3";
const hasOwnBucket = isS3 && !flag("S3_BUCKET_EXISTS", "false");
// With AUTH=public nobody uploads or deletes.
const hasOwners = isS3 && (env.AUTH || "user") === "user";
const isTraced = flag("TRACING", "false");
const functions = ["search", isS3 ? "index" : "webhook", "reembed", "audit"];

// Taken from the account's concurrency, of which ten have to be left; new accounts have no more than that in all,
// and what works in the background there must leave some to searches.
const reserves = flag("RESERVE_CONCURRENCY", "true");
const LITTLE = 2; // the least that a queue takes
const workers = Number(env.REEMBED_WORKERS || 4);

module.exports = {
  capital,
  architecture: env.ARCHITECTURE || "arm64",
  storage,
  isTraced,
  functions,
  roles: functions.map((name) => ({ Ref: `${capital(name)}Role` })),
  reembedWorkers: reserves ? workers : Math.min(workers, LITTLE),
  reembedInstances: reserves ? workers : null,
  webhookInstances: reserves ? 50 : null, // plan.py counts on them, too
  indexInstances: reserves ? 10 : LITTLE,
  bucket: piece(hasOwnBucket, "bucket"),
  bucketCors: piece(hasOwnBucket && env.CORS_ORIGINS, "bucket-cors"),
  bucketKeys: piece(isS3 && env.S3_KMS_KEY_ARN, "roles-s3-keys"),
  queueAlarms: piece(isS3, "alarms-s3"),
  owners: piece(hasOwners, "roles-s3-owners"),
  email: piece(env.ALARM_EMAIL, "topic-email"),
  budget: piece(env.BUDGET_USD, "budget"),
  corsOrigins: listed("CORS_ORIGINS"),
  kmsKeys: listed("S3_KMS_KEY_ARN"),
};
