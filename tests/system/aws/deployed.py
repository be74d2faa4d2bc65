"""A stage that runs: its functions, and what AWS does between them and the world."""

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from infra.local.lambdas import Invocation, LambdaFunction
from tests.system.aws.account import REGION
from tests.system.aws.described import Described
from tests.system.aws.event_source import EventSource
from tests.system.aws.http_api import NOT_FOUND, Answer, Request, best_route
from tests.system.aws.moto_aws import Aws


class Deployed(Described):
    """As a context manager: its functions start when they are called, and end with it."""

    def __init__(self, aws: Aws, stack: str, folder: Path, *, beside: Mapping[str, str]) -> None:
        """`beside`: what a function has to be told because AWS is not AWS."""
        super().__init__(aws, stack)
        self._folder = folder
        self._beside = {"AWS_ENDPOINT_URL": aws.url, **beside}
        self._running: dict[str, LambdaFunction] = {}
        self._closing = ExitStack()

    def __enter__(self) -> "Deployed":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def running(self, name: str) -> LambdaFunction:
        """The instance of a function."""
        if name not in self._running:
            self._running[name] = self._closing.enter_context(self.started(name))
        return self._running[name]

    def started(self, name: str, **beside: str) -> LambdaFunction:
        """Another instance, whose AWS is elsewhere, say; the caller's to start and to end."""
        function = self.functions[name]
        return LambdaFunction(
            self.zip_of(name),
            function.handler,
            {**function.environment, **self.credentials(name), **self._beside, **beside},
            timeout_s=function.timeout_s,
            memory_mb=function.memory_mb,
            name=function.name,
            region=REGION,
        )

    def zip_of(self, name: str) -> Path:
        """What was uploaded, fetched once for all functions of the same code."""
        function = self.functions[name]
        path = self._folder / function.code["S3Key"].replace("/", "-")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            s3 = self.aws.client("s3")
            content = s3.get_object(Bucket=function.code["S3Bucket"], Key=function.code["S3Key"])["Body"]
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
        return path

    def credentials(self, name: str) -> dict[str, str]:
        """Of a function's role, as Lambda gets them."""
        function = self.functions[name]
        sts = self.aws.client("sts")
        given = sts.assume_role(RoleArn=function.role_arn, RoleSessionName=function.name)["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def invoke(self, name: str, event: object) -> Invocation:
        return self.running(name).invoke(event)

    def request(self, request: Request) -> Answer:
        """What the HTTP API answers."""
        route_key = best_route(self.routes, request)
        if route_key is None:
            return NOT_FOUND
        return Answer.of(self.invoke(self.routes[route_key], request.event(route_key)))

    def call_scheduled(self, name: str) -> Invocation:
        """What its schedule does when the time has come."""
        return self.invoke(name, json.loads(self.schedule(name)["Input"]))

    def event_source(self, name: str, function: LambdaFunction | None = None) -> EventSource:
        """The queue that feeds a function; or feeds another instance of it."""
        mapping = self.mapping(name)
        queue_arn = mapping["EventSourceArn"]
        return EventSource(
            sqs=self.aws.client("sqs"),
            queue_url=self.queue_url(queue_arn),
            queue_arn=queue_arn,
            function=function or self.running(name),
            batch_size=mapping["BatchSize"],
            reports_failures="ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", []),
        )

    def redrive(self) -> None:
        """All that is dead back into its queue; moto knows no StartMessageMoveTask."""
        sqs, queue = self.aws.client("sqs"), self.event_source("index").queue_url
        while messages := sqs.receive_message(QueueUrl=self.dead_letters_url).get("Messages"):
            for message in messages:
                sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
                sqs.delete_message(QueueUrl=self.dead_letters_url, ReceiptHandle=message["ReceiptHandle"])

    def logs(self) -> dict[str, str]:
        """What each function has written."""
        return {name: function.log for name, function in self._running.items()}
