"""Says hello over HTTP, says who it is, and does the same from the command line."""

import sys

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.types import Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam

from identity import Refusal, spiffe_id

AUDIENCE = "sts.amazonaws.com"


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        path = (request.path_with_query() or "/").split("?")[0]
        if path == "/":
            respond(response_out, 200, "hello from Python")
        elif path == "/whoami":
            try:
                respond(response_out, 200, spiffe_id(AUDIENCE))
            except Refusal as refusal:
                respond(response_out, refusal.status, refusal.message)
        else:
            respond(response_out, 404, "there is / and /whoami")


class Run(exports.Run):
    def run(self) -> None:
        print("hello from Python, " + " ".join(sys.argv[1:]))
        try:
            print(spiffe_id(AUDIENCE))
        except Refusal as refusal:
            print(refusal.message, file=sys.stderr)
            raise Err(None) from refusal


def respond(response_out: ResponseOutparam, status: int, text: str) -> None:
    response = OutgoingResponse(Fields.from_list([("content-type", b"text/plain; charset=utf-8")]))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        data = f"{text}\n".encode()
        # `blocking-write-and-flush` takes at most 4096 bytes at a time.
        for at in range(0, len(data), 4096):
            stream.blocking_write_and_flush(data[at : at + 4096])
    OutgoingBody.finish(body, None)
