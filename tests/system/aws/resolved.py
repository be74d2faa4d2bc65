"""A CloudFormation template whose functions (`Ref`, `Fn::GetAtt`, …) are resolved, as in a deployed stack."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tests.system.aws.account import ACCOUNT, REGION

Json: TypeAlias = Any
"""Whatever JSON can say."""

_PSEUDO: Final = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
_ARNS: Final[Mapping[str, str]] = {
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
}
_IN_TEXT: Final = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")


@dataclass(frozen=True)
class Resource:
    """One of a stack, with what the template says of it."""

    logical_id: str
    kind: str
    properties: Mapping[str, Any]


class ResolvedTemplate:
    """A template of which the resources are there, under the ids that AWS gave them."""

    def __init__(self, template: Mapping[str, Any], stack: str, physical_ids: Mapping[str, str]) -> None:
        self._resources: Mapping[str, Any] = template["Resources"]
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._ids = {**_PSEUDO, "AWS::StackName": stack, **physical_ids}

    def of_kind(self, kind: str) -> Iterator[Resource]:
        """All resources of a type, resolved."""
        for logical_id, resource in self._resources.items():
            if resource["Type"] == kind and self._holds(resource.get("Condition")):
                yield Resource(logical_id, kind, self.resolved(resource.get("Properties", {})))

    def resolved(self, value: Json) -> Json:
        """A value without functions in it. What moto did not make is called by its logical id."""
        match value:
            case {"Ref": str(name)}:
                return self._ids.get(name, name)
            case {"Condition": str(name)}:
                return self._holds(name)
            case {**one} if len(one) == 1 and str(next(iter(one))).startswith("Fn::"):
                [(function, argument)] = one.items()
                return self._FUNCTIONS[str(function).removeprefix("Fn::")](self, argument)
            case dict():
                pairs = {key: self.resolved(item) for key, item in value.items()}
                return {key: item for key, item in pairs.items() if item != "AWS::NoValue"}
            case list():
                return [item for item in map(self.resolved, value) if item != "AWS::NoValue"]
        return value

    def _holds(self, condition: str | None) -> bool:
        return condition is None or bool(self.resolved(self._conditions[condition]))

    def _attribute(self, argument: Json) -> str:
        logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        resource = self._resources[logical_id]
        name = self._ids.get(logical_id, logical_id).rpartition("/")[2]  # SQS calls its queues by their URLs
        if attribute == "Arn" and resource["Type"] in _ARNS:
            return _ARNS[resource["Type"]].format(name)
        return name if attribute in {"QueueName", "TopicName"} else f"{logical_id}.{attribute}"

    def _substituted(self, argument: Json) -> str:
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def found(match: re.Match[str]) -> str:
            name = match[1]
            if name in names:
                return str(self.resolved(names[name]))
            return self._attribute(name) if "." in name else str(self._ids.get(name, name))

        return _IN_TEXT.sub(found, text)

    def _joined(self, argument: Json) -> str:
        between, parts = argument
        return str(between).join(str(part) for part in self.resolved(parts))

    def _chosen(self, argument: Json) -> Json:
        condition, then, otherwise = argument
        return self.resolved(then if self._holds(condition) else otherwise)

    _FUNCTIONS: Final[Mapping[str, Callable[["ResolvedTemplate", Any], Any]]] = {
        "GetAtt": _attribute,
        "Sub": _substituted,
        "Join": _joined,
        "If": _chosen,
        "Equals": lambda self, pair: self.resolved(pair[0]) == self.resolved(pair[1]),
        "Not": lambda self, one: not self.resolved(one[0]),
        "And": lambda self, some: all(self.resolved(some)),
        "Or": lambda self, some: any(self.resolved(some)),
        "Select": lambda self, pick: self.resolved(pick[1])[int(pick[0])],
        "Split": lambda self, cut: str(self.resolved(cut[1])).split(cut[0]),
    }
