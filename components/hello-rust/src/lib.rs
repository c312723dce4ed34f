//! Says hello over HTTP, says who it is, and does the same from the command line.

mod identity;

// The world in wit/ with the packages that it names: the build writes it there.
wit_bindgen::generate!({ path: "build/wit", world: "hello-rust", generate_all });

use exports::wasi::cli::run;
use exports::wasi::http::incoming_handler;
use wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasi::io::streams::StreamError;

const AUDIENCE: &str = "sts.amazonaws.com";

struct Hello;
export!(Hello);

impl incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (status, text) = match target.split('?').next() {
            Some("/") => (200, "hello from Rust".to_owned()),
            Some("/whoami") => match identity::spiffe_id(AUDIENCE) {
                Ok(spiffe_id) => (200, spiffe_id),
                Err(refusal) => (refusal.status, refusal.message),
            },
            _ => (404, "there is / and /whoami".to_owned()),
        };
        // The client went away: there is nobody to tell.
        let _ = respond(response_out, status, &format!("{text}\n"));
    }
}

impl run::Guest for Hello {
    fn run() -> Result<(), ()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        println!("hello from Rust, {}", arguments.join(" "));
        let spiffe_id = identity::spiffe_id(AUDIENCE).map_err(|refusal| eprintln!("{}", refusal.message))?;
        println!("{spiffe_id}");
        Ok(())
    }
}

fn respond(response_out: ResponseOutparam, status: u16, text: &str) -> Result<(), StreamError> {
    let headers = Fields::new();
    headers
        .append("content-type", b"text/plain; charset=utf-8")
        .expect("a valid header");
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a valid status");
    let body = response.body().expect("taken once");
    ResponseOutparam::set(response_out, Ok(response));
    let stream = body.write().expect("taken once");
    // `blocking-write-and-flush` takes at most 4096 bytes at a time.
    for chunk in text.as_bytes().chunks(4096) {
        stream.blocking_write_and_flush(chunk)?;
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}
