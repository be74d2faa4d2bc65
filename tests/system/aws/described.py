"""A stage as CloudFormation was told to make it, and what moto's leaves out of that."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from tests.system.aws.moto_aws import Aws
from tests.system.aws.resolved import ResolvedTemplate, Resource

_FUNCTION: Final = "AWS::Lambda::Function"
_BUCKET: Final = "AWS::S3::Bucket"


@dataclass(frozen=True)
class Function:
    """As the template has it."""

    name: str
    arn: str
    handler: str
    environment: Mapping[str, str]
    timeout_s: float
    memory_mb: int
    role_arn: str
    code: Mapping[str, str]


class Described:
    """A stack of CloudFormation's, by its name; all that is asked is read out of its template."""

    def __init__(self, aws: Aws, stack: str) -> None:
        self.aws = aws
        self.stack = stack

    @cached_property
    def template(self) -> ResolvedTemplate:
        """What CloudFormation was given last."""
        cloudformation = self.aws.client("cloudformation")
        body = cloudformation.get_template(StackName=self.stack)["TemplateBody"]
        resources = cloudformation.describe_stack_resources(StackName=self.stack)["StackResources"]
        made = [one for one in resources if "PhysicalResourceId" in one]
        ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in made}
        parsed = json.loads(body) if isinstance(body, str) else body
        return ResolvedTemplate(parsed, self.stack, ids)

    def of_kind(self, kind: str) -> list[Resource]:
        return list(self.template.of_kind(kind))

    def one(self, kind: str, part_of_id: str) -> Resource:
        """The resource of a kind with this in its logical id."""
        [found] = [resource for resource in self.template.of_kind(kind) if part_of_id in resource.logical_id]
        return found

    @cached_property
    def functions(self) -> dict[str, Function]:
        """By what the stage calls them: `search`, `index`, …"""
        found = [self._function(resource) for resource in self.of_kind(_FUNCTION)]
        return {function.name.rpartition("-")[2]: function for function in found}

    def _function(self, resource: Resource) -> Function:
        given = resource.properties
        return Function(
            name=given["FunctionName"],
            arn=self.template.resolved({"Fn::GetAtt": [resource.logical_id, "Arn"]}),
            handler=given["Handler"],
            environment=given.get("Environment", {}).get("Variables", {}),
            timeout_s=given["Timeout"],
            memory_mb=given["MemorySize"],
            role_arn=given["Role"],
            code=given["Code"],
        )

    @cached_property
    def routes(self) -> dict[str, str]:
        """The functions' names by the routes' keys."""
        integrations = {
            resource.logical_id: resource.properties
            for resource in self.of_kind("AWS::ApiGatewayV2::Integration")
        }
        found = {}
        for route in self.of_kind("AWS::ApiGatewayV2::Route"):
            integration = integrations[route.properties["Target"].rpartition("/")[2]]
            assert integration["PayloadFormatVersion"] == "2.0"
            found[route.properties["RouteKey"]] = self._name_of(integration["IntegrationUri"])
        return found

    def _name_of(self, arn: str) -> str:
        [name] = [name for name, function in self.functions.items() if function.arn == arn]
        return name

    def schedule(self, name: str) -> Mapping[str, Any]:
        """The target of a function's schedule."""
        arn = self.functions[name].arn
        schedules = [one.properties["Target"] for one in self.of_kind("AWS::Scheduler::Schedule")]
        [target] = [target for target in schedules if target["Arn"] == arn]
        return dict(target)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """How a queue feeds a function."""
        arn = self.functions[name].arn
        mappings = [one.properties for one in self.of_kind("AWS::Lambda::EventSourceMapping")]
        [mapping] = [mapping for mapping in mappings if mapping["FunctionName"] == arn]
        return mapping

    def queue_url(self, arn: str) -> str:
        url: str = self.aws.client("sqs").get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        return url

    def waiting(self, queue_url: str) -> int:
        """How many messages can be seen in a queue."""
        name = "ApproximateNumberOfMessages"
        answer = self.aws.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    @cached_property
    def _redrive_policy(self) -> Mapping[str, Any]:
        policy: Mapping[str, Any] = self.one("AWS::SQS::Queue", "IndexQueue").properties["RedrivePolicy"]
        return policy

    @property
    def dead_letters_url(self) -> str:
        return self.queue_url(self._redrive_policy["deadLetterTargetArn"])

    @property
    def most_receives(self) -> int:
        """How often a message of the index function's queue is tried."""
        return int(self._redrive_policy["maxReceiveCount"])

    def fill_gaps(self) -> None:
        """moto's CloudFormation makes buckets without their notifications, and queues without policies."""
        s3, sqs = self.aws.client("s3"), self.aws.client("sqs")
        for policy in self.of_kind("AWS::SQS::QueuePolicy"):
            for url in policy.properties["Queues"]:
                document = json.dumps(policy.properties["PolicyDocument"])
                sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})
        for bucket in self.of_kind(_BUCKET):
            wanted = bucket.properties.get("NotificationConfiguration", {}).get("QueueConfigurations", [])
            if wanted:
                s3.put_bucket_notification_configuration(
                    Bucket=bucket.properties["BucketName"],
                    NotificationConfiguration={"QueueConfigurations": _as_s3_has_it(wanted)},
                )


def _as_s3_has_it(configurations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """CloudFormation calls things otherwise."""
    return [
        {"QueueArn": one["Queue"], "Events": [one["Event"]]} for one in configurations if "Filter" not in one
    ]
