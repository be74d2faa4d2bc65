// How each function's role begins: its own log, its own secrets, and traces where they are wanted. What it may do
// beside that is written where the role is.
const { capital, functions, isTraced } = require("./choices.js");
const environment = require("./environment.js");

const VERSION = "2012-10-17";

const allow = (Sid, Action, Resource) => ({ Sid, Effect: "Allow", Action, Resource });

const policy = (name, parameters) => ({
  PolicyName: name,
  PolicyDocument: {
    Version: VERSION,
    Statement: [
      allow("WriteItsLog", ["logs:CreateLogStream", "logs:PutLogEvents"], {
        "Fn::GetAtt": [`${capital(name)}LogGroup`, "Arn"],
      }),
      // AWS's own key for SSM lets everyone decrypt who may read.
      allow("ReadItsSecrets", "ssm:GetParameters", parameters),
      // Lambda refuses to make a traced function whose role may not send them. `*`: neither action knows resources.
      ...(isTraced ? [allow("SendTraces", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*")] : []),
    ],
  },
});

module.exports = async (context) => {
  const { parameters } = await environment(context);
  return {
    takenByLambda: {
      Version: VERSION,
      Statement: [{ Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" }],
    },
    begins: Object.fromEntries(functions.map((name) => [name, policy(name, parameters[name])])),
  };
};
