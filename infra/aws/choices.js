// Which pieces of infra/aws make up a stage's stack. The stage file, .env.<stage>, decides.
const { env } = process;

const piece = (isWanted, name) => (isWanted ? name : "nothing");
const storage = env.STORAGE || "supabase";
const isS3 = storage === "s3";
const hasOwnBucket = isS3 && env.S3_BUCKET_EXISTS !== "true";
// With AUTH=public nobody uploads or deletes.
const hasOwners = isS3 && (env.AUTH || "user") === "user";
const isTraced = env.TRACING === "true";

const functions = ["search", isS3 ? "index" : "webhook", "reembed", "audit"];
const capital = (name) => name[0].toUpperCase() + name.slice(1);

module.exports = {
  architecture: env.ARCHITECTURE || "arm64",
  storage,
  isTraced,
  functions,
  roles: functions.map((name) => ({ Ref: `${capital(name)}Role` })),
  // Taken from the account's concurrency, of which ten have to be left; new accounts have no more than that.
  reembedInstances: env.RESERVE_CONCURRENCY === "false" ? null : Number(env.REEMBED_WORKERS || 4),
  bucket: piece(hasOwnBucket, "bucket"),
  bucketCors: piece(hasOwnBucket && env.CORS_ORIGINS, "bucket-cors"),
  queueAlarms: piece(isS3, "alarms-s3"),
  owners: piece(hasOwners, "roles-s3-owners"),
  tracing: piece(isTraced, "tracing"),
  email: piece(env.ALARM_EMAIL, "topic-email"),
  budget: piece(env.BUDGET_USD, "budget"),
  corsOrigins: (env.CORS_ORIGINS || "").split(",").map((origin) => origin.trim()).filter(Boolean),
};
