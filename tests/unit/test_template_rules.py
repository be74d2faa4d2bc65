"""Each rule on templates finds what breaks it, and leaves what keeps it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests import template_rules
from tests.template_rules import Template


def _template(**resources: tuple[str, dict[str, Any]]) -> Template:
    return {"Resources": {name: {"Type": kind, "Properties": own} for name, (kind, own) in resources.items()}}


def _role(**statement: object) -> Template:
    document = {"Statement": [{"Sid": "Some", "Effect": "Allow", **statement}]}
    return _template(Role=("AWS::IAM::Role", {"Policies": [{"PolicyDocument": document}]}))


_ARN = {"Fn::GetAtt": ["Queue", "Arn"]}


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "*", "Resource": _ARN},
        {"Action": ["sqs:SendMessage", "sqs:Get*"], "Resource": _ARN},
        {"Action": "sqs:SendMessage", "Resource": "*"},
        {"Action": "sqs:SendMessage", "Resource": [_ARN, {"Fn::Sub": "arn:${AWS::Partition}:sqs:*"}]},
    ],
)
def test_a_star_needs_a_reason(statement: dict[str, Any]) -> None:
    template = _role(**statement)

    assert template_rules.unexplained_stars(template, {}) == ["Some"]
    assert template_rules.unexplained_stars(template, {"Some": "why"}) == []


def test_a_star_in_a_statement_without_a_name_cannot_be_explained() -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    template = _template(Policy=("AWS::IAM::Policy", {"PolicyDocument": {"Statement": [statement]}}))

    assert template_rules.unexplained_stars(template, {"Some"}) == ["a statement of Policy without Sid"]


def test_what_names_all_and_what_denies_needs_no_reason() -> None:
    named = _role(Action="sqs:SendMessage", Resource=_ARN)
    denied = _role(Effect="Deny", Action="*", Resource="*")

    assert template_rules.unexplained_stars(named, {}) == []
    assert template_rules.unexplained_stars(denied, {}) == []


_PRIVATE = dict.fromkeys(
    ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
)


@pytest.mark.parametrize("flag", sorted(_PRIVATE))
def test_a_bucket_that_could_be_public_is_found(flag: str) -> None:
    blocked = {"PublicAccessBlockConfiguration": _PRIVATE | {flag: False}}

    assert template_rules.open_to_all(_template(Bucket=("AWS::S3::Bucket", blocked))) == ["Bucket"]


def test_a_private_bucket_is_left() -> None:
    blocked = {"PublicAccessBlockConfiguration": _PRIVATE}

    assert template_rules.open_to_all(_template(Bucket=("AWS::S3::Bucket", blocked))) == []


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}])
def test_what_is_allowed_to_everybody_is_found(principal: object) -> None:
    template = _role(Principal=principal, Action="sqs:SendMessage", Resource=_ARN)

    assert template_rules.open_to_all(template) == ["Some"]


@pytest.mark.parametrize(
    ("kind", "encrypted"),
    [
        ("AWS::S3::Bucket", {"BucketEncryption": {"ServerSideEncryptionConfiguration": []}}),
        ("AWS::SQS::Queue", {"SqsManagedSseEnabled": True}),
        ("AWS::SNS::Topic", {"KmsMasterKeyId": {"Ref": "Key"}}),
    ],
)
def test_what_is_not_encrypted_is_found(kind: str, encrypted: dict[str, Any]) -> None:
    template = _template(Plain=(kind, {}), Encrypted=(kind, encrypted))

    assert template_rules.unencrypted(template) == ["Plain"]


def _tls(condition: object, effect: str = "Deny") -> dict[str, Any]:
    statement = {
        "Effect": effect,
        "Principal": "*",
        "Condition": {"Bool": {"aws:SecureTransport": condition}},
    }
    return {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {"Statement": [statement]}}


@pytest.mark.parametrize("policy", [_tls("true"), _tls("false", "Allow")])
def test_what_takes_clear_text_is_found(policy: dict[str, Any]) -> None:
    template = _template(Queue=("AWS::SQS::Queue", {}), Policy=("AWS::SQS::QueuePolicy", policy))

    assert template_rules.without_tls(template) == ["Queue"]


def test_what_refuses_clear_text_is_left() -> None:
    template = _template(Queue=("AWS::SQS::Queue", {}), Policy=("AWS::SQS::QueuePolicy", _tls("false")))

    assert template_rules.without_tls(template) == []


def _queue(
    *, visibility_s: int = 362, redrive: bool = True, types: tuple[str, ...] = ("ReportBatchItemFailures",)
) -> Template:
    queue = {"VisibilityTimeout": visibility_s, "RedrivePolicy": {}}
    return _template(
        Queue=("AWS::SQS::Queue", queue if redrive else {"VisibilityTimeout": visibility_s}),
        Index=("AWS::Lambda::Function", {"Timeout": 60}),
        Mapping=(
            "AWS::Lambda::EventSourceMapping",
            {
                "EventSourceArn": _ARN,
                "FunctionName": {"Fn::GetAtt": ["Index", "Arn"]},
                "MaximumBatchingWindowInSeconds": 2,
                "FunctionResponseTypes": list(types),
                "ScalingConfig": {"MaximumConcurrency": 10},
            },
        ),
    )


@pytest.mark.parametrize("template", [_queue(visibility_s=361), _queue(redrive=False)])
def test_a_queue_that_hands_out_too_soon_or_for_ever_is_found(template: Template) -> None:
    assert template_rules.hasty_queues(template) == ["Queue"]


def test_a_function_of_a_queue_names_its_failures() -> None:
    assert template_rules.whole_batches(_queue(types=())) == ["Mapping"]
    assert template_rules.whole_batches(_queue()) == []
    assert template_rules.hasty_queues(_queue()) == []


def _functions(*, timeout_s: int = 29, role: str = "BRole", group: str = "/aws/lambda/b") -> Template:
    return _template(
        A=(
            "AWS::Lambda::Function",
            {"FunctionName": "a", "Timeout": 29, "Role": {"Fn::GetAtt": ["ARole", "Arn"]}},
        ),
        B=(
            "AWS::Lambda::Function",
            {
                "FunctionName": "b",
                "Timeout": timeout_s,
                "Role": {"Fn::GetAtt": [role, "Arn"]},
                "Environment": {"Variables": {"STORAGE": "s3"}},
            },
        ),
        ARole=("AWS::IAM::Role", {}),
        BRole=("AWS::IAM::Role", {}),
        ALog=("AWS::Logs::LogGroup", {"LogGroupName": "/aws/lambda/a", "RetentionInDays": 30}),
        BLog=("AWS::Logs::LogGroup", {"LogGroupName": group, "RetentionInDays": 30}),
        Integration=(
            "AWS::ApiGatewayV2::Integration",
            {"IntegrationUri": {"Fn::GetAtt": ["B", "Arn"]}},
        ),
    )


@pytest.mark.parametrize(
    ("rule", "wrong", "found"),
    [
        (template_rules.slow_behind_api, _functions(timeout_s=30), ["B"]),
        (template_rules.without_own_role, _functions(role="ARole"), ["A", "B"]),
        (template_rules.without_own_role, _functions(role="Elsewhere"), ["B"]),
        (template_rules.without_kept_log, _functions(group="/aws/lambda/c"), ["B"]),
    ],
)
def test_a_function_that_breaks_a_rule_is_found(
    rule: Callable[[Template], list[str]], wrong: Template, found: list[str]
) -> None:
    assert rule(wrong) == found
    assert rule(_functions()) == []


def _traced(*, mode: str = "Active", role: dict[str, Any]) -> Template:
    function = {"TracingConfig": {"Mode": mode}, "Role": {"Fn::GetAtt": ["Role", "Arn"]}}
    return _template(Traced=("AWS::Lambda::Function", function), Role=("AWS::IAM::Role", role))


def _allowing(*actions: str, effect: str = "Allow") -> dict[str, Any]:
    statements = [{"Effect": effect, "Action": action, "Resource": "*"} for action in actions]
    return {"Policies": [{"PolicyDocument": {"Statement": statements}}]}


_SENDING = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")


@pytest.mark.parametrize("role", [{}, _allowing(_SENDING[0]), _allowing(*_SENDING, effect="Deny")])
def test_a_traced_function_whose_own_role_cannot_send_traces_is_found(role: dict[str, Any]) -> None:
    assert template_rules.untraceable(_traced(role=role)) == ["Traced"]


def test_a_function_that_may_send_traces_or_has_none_is_left() -> None:
    assert template_rules.untraceable(_traced(role=_allowing(*_SENDING))) == []
    assert template_rules.untraceable(_traced(mode="PassThrough", role={})) == []


def _staged(*waits_for: str) -> Template:
    template = _template(
        Stage=("AWS::ApiGatewayV2::Stage", {"RouteSettings": {"POST /webhooks": {"ThrottlingRateLimit": 1}}}),
        Route=("AWS::ApiGatewayV2::Route", {"RouteKey": "POST /webhooks"}),
    )
    template["Resources"]["Stage"]["DependsOn"] = list(waits_for)
    return template


def test_a_stage_that_does_not_wait_for_its_route_is_found() -> None:
    assert template_rules.hasty_routes(_staged("Log")) == ["POST /webhooks"]
    assert template_rules.hasty_routes(_staged("Log", "Route")) == []


def test_a_variable_that_nothing_reads_is_found() -> None:
    assert template_rules.unknown_variables(_functions(), ["BUCKETS"]) == ["B: STORAGE"]
    assert template_rules.unknown_variables(_functions(), ["STORAGE"]) == []


@pytest.mark.parametrize("deaf", [{}, {"AlarmActions": []}, {"AlarmActions": ["a"], "ActionsEnabled": False}])
def test_an_alarm_that_tells_nobody_is_found(deaf: dict[str, Any]) -> None:
    template = _template(
        Deaf=("AWS::CloudWatch::Alarm", deaf), Heard=("AWS::CloudWatch::Alarm", {"AlarmActions": ["a"]})
    )

    assert template_rules.silent_alarms(template) == ["Deaf"]
