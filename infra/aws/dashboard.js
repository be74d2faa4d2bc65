// The dashboard: what comes in, how it is answered, what waits, what the audits find.
const { capital, functions, storage } = require("./choices.js");

const REGION = "${AWS::Region}"; // filled in by CloudFormation, as all of this kind
const ref = (name) => `\${${capital(name)}LambdaFunction}`;

const widget = (title, properties, width = 8) => ({
  type: "metric",
  width,
  height: 6,
  properties: { title, region: REGION, period: 300, stat: "Sum", view: "timeSeries", ...properties },
});

const api = (name, options = {}) => ["AWS/ApiGateway", name, "ApiId", "${HttpApi}", options];
const lambda = (metricName, options = {}) =>
  functions.map((name) => ["AWS/Lambda", metricName, "FunctionName", ref(name), { label: name, ...options }]);
const queue = (metricName, name, label) => ["AWS/SQS", metricName, "QueueName", `\${${name}.QueueName}`, { label }];
const search = (stage, dimensions, metricName, stat) => ({
  expression:
    `SEARCH('{pixseek,${dimensions},service} MetricName="${metricName}" ` +
    `service="pixseek-${stage}"', '${stat}', 3600)`,
});

const queues = () => [
  widget("Events that wait", {
    stat: "Maximum",
    metrics: [
      queue("ApproximateNumberOfMessagesVisible", "IndexQueue", "waiting"),
      queue("ApproximateNumberOfMessagesNotVisible", "IndexQueue", "at work"),
      queue("ApproximateNumberOfMessagesVisible", "IndexDeadLetters", "dead letters"),
    ],
  }),
  widget("Age of the oldest event, s", {
    stat: "Maximum",
    metrics: [queue("ApproximateAgeOfOldestMessage", "IndexQueue", "age")],
  }),
];

const widgets = (stage) => [
  widget("Requests", { metrics: [api("Count"), api("4xx"), api("5xx")] }),
  widget("Latency of the API, ms", {
    metrics: ["p50", "p95", "p99"].map((stat) => api("Latency", { stat, label: stat })),
  }),
  widget("Errors", { metrics: lambda("Errors") }),
  widget("Calls", { metrics: lambda("Invocations") }),
  widget("Duration p95, ms", { metrics: lambda("Duration", { stat: "p95" }) }),
  widget("Instances at once", { metrics: lambda("ConcurrentExecutions", { stat: "Maximum" }) }),
  ...(storage === "s3" ? queues() : []),
  widget("Recall, by model", {
    metrics: [[search(stage, "model", "recall", "Minimum")]],
    yAxis: { left: { min: 0.8, max: 1 } },
  }),
  widget("Faults that audits left", { metrics: [[search(stage, "bucket", "faults_left", "Maximum")]] }),
  {
    type: "log",
    width: 24,
    height: 6,
    properties: {
      title: "What went wrong last",
      region: REGION,
      view: "table",
      query: [
        functions.map((name) => `SOURCE '\${${capital(name)}LogGroup}'`).join(" | "),
        'fields @timestamp, message, error, detail | filter level = "WARNING" or level = "ERROR"',
        "sort @timestamp desc | limit 50",
      ].join(" | "),
    },
  },
];

module.exports = async ({ resolveVariable }) => {
  const stage = await resolveVariable("sls:stage");
  return {
    Resources: {
      Dashboard: {
        Type: "AWS::CloudWatch::Dashboard",
        Properties: {
          DashboardName: `pixseek-${stage}`,
          DashboardBody: { "Fn::Sub": JSON.stringify({ widgets: widgets(stage) }) },
        },
      },
    },
    Outputs: {
      DashboardUrl: {
        Description: "What an operator looks at",
        Value: {
          "Fn::Sub":
            "https://${AWS::Region}.console.aws.amazon.com/cloudwatch/home" +
            "?region=${AWS::Region}#dashboards/dashboard/${Dashboard}",
        },
      },
    },
  };
};
