"""A handler that does nothing: what Python and Lambda's runtime client take by themselves."""


def handler(event: object, context: object) -> dict[str, object]:  # noqa: ARG001 -- Lambda's form
    return {}
