use crate::wasmcloud::identity::store;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Why there is no identity, as an answer over HTTP gives it.
pub struct Refusal {
    pub status: u16,
    pub message: String,
}

/// The SPIFFE ID in the token that the host obtained for exactly this component. The signature is not checked here: the host has
/// done that, and whoever receives the token does it again.
pub fn spiffe_id(audience: &str) -> Result<String, Refusal> {
    let token = store::get(audience).map_err(from_store)?.ok_or_else(not_found)?;
    subject(&token).ok_or_else(|| refusal(502, "the host gave something that is not a JWT-SVID".to_owned()))
}

fn subject(token: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    Some(claims.get("sub")?.as_str()?.to_owned())
}

fn from_store(error: store::Error) -> Refusal {
    match error {
        store::Error::NotFound => not_found(),
        store::Error::Io(message) => refusal(503, message),
        store::Error::Other(message) => refusal(403, message),
    }
}

fn not_found() -> Refusal {
    refusal(403, "no registration entry matches this component".to_owned())
}

fn refusal(status: u16, message: String) -> Refusal {
    Refusal { status, message }
}
