import base64
import json

from componentize_py_types import Err
from wit_world.imports import store


class Refusal(Exception):
    """Why there is no identity, as an answer over HTTP gives it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def spiffe_id(audience: str) -> str:
    """The SPIFFE ID in the token that the host obtained for exactly this component.

    The signature is not checked here: the host has done that, and whoever receives the token does it again.
    """
    try:
        token = store.get(audience)
    except Err as error:
        raise _from_store(error.value) from error
    if token is None:
        raise _not_found()
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims["sub"]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise Refusal(502, "the host gave something that is not a JWT-SVID") from error


def _from_store(error: store.Error) -> Refusal:
    match error:
        case store.Error_Io(message):
            return Refusal(503, message)
        case store.Error_Other(message):
            return Refusal(403, message)
        case _:
            return _not_found()


def _not_found() -> Refusal:
    return Refusal(403, "no registration entry matches this component")
