"""An AWS account in one region, as boto3 reaches it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from infra.aws.errors import AwsError

if TYPE_CHECKING:
    import boto3

_HOW: Final = (
    "`aws configure` (or `aws sso login`) writes some, and AWS_PROFILE names which; or set "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_DO_NOT_HOLD: Final = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_MAY_NOT: Final = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


class Account:
    """Whose credentials are in use, and where. AWS_ENDPOINT_URL may lead elsewhere."""

    def __init__(self, session: "boto3.Session", number: str) -> None:
        self._session = session
        self.number = number
        self.region: str = session.region_name

    @classmethod
    def connect(cls, region: str) -> "Account":
        """Raises `AwsError` without credentials that hold."""
        import boto3

        with _finding_credentials():
            session = boto3.Session(region_name=region)
            found = session.get_credentials()
            if found is None:
                raise AwsError(f"there are no AWS credentials: {_HOW}")
            found.get_frozen_credentials()  # of a role or of sso they are only fetched here
        with answering("sts:GetCallerIdentity", region):
            number: str = session.client("sts").get_caller_identity()["Account"]
        return cls(session, number)

    @property
    def partition(self) -> str:
        """What its ARNs begin with: `aws`, but for China and governments."""
        return str(self._session.get_partition_for_region(self.region))

    def client(self, service: str) -> Any:  # noqa: ANN401 -- boto3 makes clients at run time
        """boto3's client."""
        return self._session.client(service)

    def environment(self) -> Mapping[str, str]:
        """Region and credentials, for a program that is called. Raises `AwsError` if they have run out."""
        with _finding_credentials():
            found = self._session.get_credentials().get_frozen_credentials()
        given = {
            "AWS_ACCESS_KEY_ID": found.access_key,
            "AWS_SECRET_ACCESS_KEY": found.secret_key,
            "AWS_SESSION_TOKEN": found.token or "",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }
        return {name: value for name, value in given.items() if value}


@contextmanager
def _finding_credentials() -> Iterator[None]:
    """Raises `AwsError` for whatever keeps boto3 from them."""
    from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

    try:
        yield
    except ProfileNotFound as exc:
        raise AwsError(f"AWS_PROFILE names a profile that ~/.aws does not have: {_HOW}") from exc
    # The last three: a credential_process that is not there, prints no JSON, or has expired ones.
    except (BotoCoreError, ClientError, OSError, ValueError, RuntimeError) as exc:
        cause = str(exc).strip().removesuffix(".")
        raise AwsError(f"your AWS credentials cannot be had ({cause}): {_HOW}") from exc


@contextmanager
def answering(action: str, region: str) -> Iterator[None]:
    """Calls of AWS inside. Raises `AwsError` for what they are refused for, or when AWS does not answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        code = code_of(exc)
        if code in _MAY_NOT:
            raise AwsError(f"your AWS credentials may not call {action}: ask for that right") from exc
        if code in _DO_NOT_HOLD:
            raise AwsError(f"your AWS credentials are not taken ({code}): {_HOW}") from exc
        raise AwsError(f"AWS refuses {action} ({code}): {exc.response['Error'].get('Message', '')}") from exc
    except BotoCoreError as exc:
        raise AwsError(f"AWS cannot be asked ({action}) in {region}: {exc}") from exc


def code_of(error: Any) -> str:  # noqa: ANN401 -- botocore's errors are made at run time
    """Of a `ClientError`."""
    code: str = error.response["Error"]["Code"]
    return code
