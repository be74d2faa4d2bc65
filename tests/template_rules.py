"""What must hold of a CloudFormation template: each rule names what breaks it."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Template: TypeAlias = Mapping[str, Any]

_LONGEST_BEHIND_API_S: Final = 29
"""An HTTP API waits for 30 s."""
_TRIES_OF_VISIBILITY: Final = 6
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
_ATTACHED: Final = {
    "AWS::S3::BucketPolicy": "Bucket",
    "AWS::SQS::QueuePolicy": "Queues",
    "AWS::SNS::TopicPolicy": "Topics",
}
_TRACES: Final = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
_PRIVATE: Final = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


@dataclass(frozen=True, slots=True)
class Statement:
    """One of a policy, and the resource that holds it."""

    holder: str
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.body.get("Sid", f"a statement of {self.holder} without Sid"))


def of_kind(template: Template, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Logical ids and properties."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource.get("Properties", {})


def statements(template: Template) -> Iterator[Statement]:
    """Of all policies but those that say who may take a role."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        inline = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        own = [properties[key] for key in ("PolicyDocument", "KeyPolicy") if key in properties]
        for document in (*inline, *own):
            for body in document["Statement"]:
                yield Statement(name, body)


def unexplained_stars(template: Template, reasons: Collection[str]) -> list[str]:
    """Statements that allow `*`, whole or as a part, without an entry."""
    return sorted(
        statement.name
        for statement in statements(template)
        if statement.body["Effect"] == "Allow"
        and "*" in json.dumps([statement.body.get("Action"), statement.body.get("Resource")])
        and statement.name not in reasons
    )


def open_to_all(template: Template) -> list[str]:
    """Statements that allow something to everybody, and buckets that could be made public."""
    stated = [
        statement.name
        for statement in statements(template)
        if statement.body["Effect"] == "Allow"
        and statement.body.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
    ]
    buckets = [
        name
        for name, properties in of_kind(template, "AWS::S3::Bucket")
        if not all(
            properties.get("PublicAccessBlockConfiguration", {}).get(flag) is True for flag in _PRIVATE
        )
    ]
    return sorted(stated + buckets)


def unencrypted(template: Template) -> list[str]:
    """Buckets, queues and topics."""
    wanted = {
        "AWS::S3::Bucket": ("BucketEncryption",),
        "AWS::SQS::Queue": ("SqsManagedSseEnabled", "KmsMasterKeyId"),
        "AWS::SNS::Topic": ("KmsMasterKeyId",),
    }
    return sorted(
        name
        for kind, keys in wanted.items()
        for name, properties in of_kind(template, kind)
        if not any(properties.get(key) for key in keys)
    )


def without_tls(template: Template) -> list[str]:
    """Buckets, queues and topics that can be used in clear text."""
    safe = {
        name
        for kind, key in _ATTACHED.items()
        for _, properties in of_kind(template, kind)
        if any(_denies_clear_text(body) for body in properties["PolicyDocument"]["Statement"])
        for name in _referred(properties[key])
    }
    kinds = ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic")
    return sorted({name for kind in kinds for name, _ in of_kind(template, kind)} - safe)


def _denies_clear_text(statement: Mapping[str, Any]) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    is_for_all = statement.get("Principal") in ("*", {"AWS": "*"})
    return statement["Effect"] == "Deny" and is_for_all and str(condition).lower() == "false"


def _referred(value: Any) -> list[str]:  # noqa: ANN401 -- a part of a template
    """The logical ids of `{Ref: …}`, one or many."""
    return [str(one["Ref"]) for one in (value if isinstance(value, list) else [value])]


def hasty_queues(template: Template) -> list[str]:
    """Queues that hand a message out again while the function may still be at it, or give none up."""
    queues = dict(of_kind(template, "AWS::SQS::Queue"))
    functions = dict(of_kind(template, "AWS::Lambda::Function"))
    faults = []
    for _, mapping in of_kind(template, "AWS::Lambda::EventSourceMapping"):
        queue = mapping["EventSourceArn"]["Fn::GetAtt"][0]
        timeout_s = functions[mapping["FunctionName"]["Fn::GetAtt"][0]]["Timeout"]
        least_s = _TRIES_OF_VISIBILITY * timeout_s + mapping.get("MaximumBatchingWindowInSeconds", 0)
        if queues[queue].get("VisibilityTimeout", 30) < least_s or "RedrivePolicy" not in queues[queue]:
            faults.append(queue)
    return sorted(faults)


def whole_batches(template: Template) -> list[str]:
    """Functions of queues whose batches fail or succeed as a whole, or that have no ceiling."""
    return sorted(
        name
        for name, mapping in of_kind(template, "AWS::Lambda::EventSourceMapping")
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]
        or not mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
    )


def slow_behind_api(template: Template) -> list[str]:
    """Functions of the HTTP API that may take longer than it waits."""
    functions = dict(of_kind(template, "AWS::Lambda::Function"))
    return sorted(
        name
        for _, integration in of_kind(template, "AWS::ApiGatewayV2::Integration")
        for name in [integration["IntegrationUri"]["Fn::GetAtt"][0]]
        if functions[name]["Timeout"] > _LONGEST_BEHIND_API_S
    )


def without_own_role(template: Template) -> list[str]:
    """Functions whose role is another's too, or none of the template's."""
    functions = list(of_kind(template, "AWS::Lambda::Function"))
    roles = [json.dumps(properties["Role"]) for _, properties in functions]
    there = {json.dumps({"Fn::GetAtt": [name, "Arn"]}) for name, _ in of_kind(template, "AWS::IAM::Role")}
    return sorted(
        name
        for (name, _), role in zip(functions, roles, strict=True)
        if roles.count(role) > 1 or role not in there
    )


def untraceable(template: Template) -> list[str]:
    """Traced functions whose role cannot send traces by itself: Lambda refuses to make them, and waits for no
    policy that comes later."""
    roles = dict(of_kind(template, "AWS::IAM::Role"))
    return sorted(
        name
        for name, properties in of_kind(template, "AWS::Lambda::Function")
        if properties.get("TracingConfig", {}).get("Mode") == "Active"
        and not _allowed(roles[properties["Role"]["Fn::GetAtt"][0]]) >= _TRACES
    )


def _allowed(role: Mapping[str, Any]) -> set[str]:
    """The actions that a role's own policies allow."""
    own = (body for policy in role.get("Policies", []) for body in policy["PolicyDocument"]["Statement"])
    actions = (body["Action"] for body in own if body["Effect"] == "Allow")
    return {one for action in actions for one in ([action] if isinstance(action, str) else action)}


def hasty_routes(template: Template) -> list[str]:
    """Routes of whose throttle a stage speaks before they are there."""
    routes = {own["RouteKey"]: name for name, own in of_kind(template, "AWS::ApiGatewayV2::Route")}
    return sorted(
        key
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::ApiGatewayV2::Stage"
        for key in resource["Properties"].get("RouteSettings", {})
        if routes.get(key) not in resource.get("DependsOn", [])
    )


def without_kept_log(template: Template) -> list[str]:
    """Functions without a log group that ends some day."""
    kept = {
        properties.get("LogGroupName")
        for _, properties in of_kind(template, "AWS::Logs::LogGroup")
        if properties.get("RetentionInDays")
    }
    return sorted(
        name
        for name, properties in of_kind(template, "AWS::Lambda::Function")
        if f"/aws/lambda/{properties['FunctionName']}" not in kept
    )


def silent_alarms(template: Template) -> list[str]:
    """Alarms that tell nobody."""
    return sorted(
        name
        for name, properties in of_kind(template, "AWS::CloudWatch::Alarm")
        if not properties.get("AlarmActions") or properties.get("ActionsEnabled") is False
    )


def unknown_variables(template: Template, known: Collection[str]) -> list[str]:
    """Of the functions' environments."""
    return sorted(
        f"{name}: {variable}"
        for name, properties in of_kind(template, "AWS::Lambda::Function")
        for variable in properties.get("Environment", {}).get("Variables", {})
        if variable not in known
    )
