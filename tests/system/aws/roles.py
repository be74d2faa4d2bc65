"""The policies of the functions' roles, enforced for the calls that are signed with a role's credentials."""

import json
import re
from collections.abc import Set
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode
from xml.sax.saxutils import unescape

import pytest
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.iam.access_control import AssumedRoleAccessKey
from moto.s3.exceptions import S3AccessDeniedError

from tests.system.aws.account import ACCOUNT, REGION

_KEY: Final = re.compile("<Key>(.*?)</Key>")


def enforce_roles(moto: pytest.MonkeyPatch, kept_from_functions: Set[str]) -> None:
    """moto checks signatures and actions when told to, but for all callers or none, and it knows of no names
    in SSM. Who deploys, and the tests, may do all. Some objects no function may read, whatever its role says.
    """

    def authorise(request: Any, kind: type, resource: str = "*") -> None:  # noqa: ANN401 -- one of moto's many
        if "X-Amz-Security-Token" in request.headers:
            _authorise(request, kind, resource)
            if resource.rpartition("/")[2] in kept_from_functions:
                raise S3AccessDeniedError

    moto.setattr(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", authorise)
    plain = AssumedRoleAccessKey.collect_policies

    def documents(key: AssumedRoleAccessKey) -> list[Any]:
        """Its CloudFormation keeps documents as they are in the template; what reads them wants text."""
        return [json.dumps(policy) if isinstance(policy, dict) else policy for policy in plain(key)]

    moto.setattr(AssumedRoleAccessKey, "collect_policies", documents)


def _authorise(request: Any, kind: type, resource: str) -> None:  # noqa: ANN401 -- see above
    query = urlencode(  # as AWS signs it; moto takes it as it came
        parse_qsl(request.uri.partition("?")[2], keep_blank_values=True), quote_via=quote, safe="-_.~"
    )
    checked = kind(
        account_id=request.current_account,
        method=request.method,
        path=f"{request.raw_path}?{query}" if query else request.raw_path,
        data=request.data,
        body=request.raw_body,
        headers=request.headers,
        action=request._get_action(),
    )
    checked.check_signature()
    try:
        for one in _resources(request, resource):
            checked.check_action_permitted(one)
    except AccessDeniedError as exc:  # said in XML, by moto
        raise JsonRESTError("AccessDeniedException", exc.description or "") from exc


def _resources(request: Any, resource: str) -> list[str]:  # noqa: ANN401 -- see above
    if request.service_name == "ssm":
        names = [name.partition(":")[0] for name in json.loads(request.raw_body)["Names"]]  # and a version
        return [f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}" for name in names]
    if request.method == "POST" and request._get_action() == "DeleteObject":  # many at once
        return [f"{resource}/{unescape(key)}" for key in _KEY.findall(request.raw_body.decode())]
    return [resource]
