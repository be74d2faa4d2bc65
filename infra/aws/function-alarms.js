// Each function's alarms: errors, and throttles where they are not meant.
const { capital, functions } = require("./choices.js");

// They run seldom and by themselves: one failure counts. What bounds their concurrency throttles them.
const SCHEDULED = ["reembed", "audit"];

const metric = (name, metricName) => ({
  Namespace: "AWS/Lambda",
  MetricName: metricName,
  Dimensions: [{ Name: "FunctionName", Value: { Ref: `${capital(name)}LambdaFunction` } }],
});

const alarm = (stage, name, what, properties) => ({
  Type: "AWS::CloudWatch::Alarm",
  Properties: {
    AlarmName: `pixseek-${stage}-${name}-${what}`,
    ComparisonOperator: "GreaterThanThreshold",
    TreatMissingData: "notBreaching",
    AlarmActions: [{ Ref: "AlarmTopic" }],
    OKActions: [{ Ref: "AlarmTopic" }],
    ...properties,
  },
});

const errorRate = (stage, name) => {
  const sum = (id, metricName) => ({
    Id: id,
    ReturnData: false,
    MetricStat: { Metric: metric(name, metricName), Period: 300, Stat: "Sum" },
  });
  const often = SCHEDULED.includes(name)
    ? { AlarmDescription: `A run of ${name} has failed`, Threshold: 0, EvaluationPeriods: 1 }
    : {
        AlarmDescription: `More than one call of ${name} in twenty fails`,
        Threshold: 5,
        EvaluationPeriods: 3,
        DatapointsToAlarm: 2,
      };
  return alarm(stage, name, "errors", {
    Metrics: [
      { Id: "rate", Expression: "IF(calls > 0, 100 * failed / calls, 0)", Label: "errors in percent" },
      sum("failed", "Errors"),
      sum("calls", "Invocations"),
    ],
    ...often,
  });
};

const throttles = (stage, name) =>
  alarm(stage, name, "throttles", {
    AlarmDescription: `Lambda turns calls of ${name} away: its own concurrency, or the account's, is used up`,
    ...metric(name, "Throttles"),
    Statistic: "Sum",
    Period: 300,
    Threshold: 0,
    EvaluationPeriods: 3,
    DatapointsToAlarm: 2,
  });

module.exports = async ({ resolveVariable }) => {
  const stage = await resolveVariable("sls:stage");
  const resources = functions.flatMap((name) => [
    [`${capital(name)}ErrorsAlarm`, errorRate(stage, name)],
    ...(SCHEDULED.includes(name) ? [] : [[`${capital(name)}ThrottlesAlarm`, throttles(stage, name)]]),
  ]);
  return { Resources: Object.fromEntries(resources) };
};
