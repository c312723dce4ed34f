package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// refusal says why there is no identity, as an answer over HTTP gives it.
type refusal struct {
	status  uint16
	message string
}

// spiffeID gives the SPIFFE ID in the token that the host obtained for exactly this component. The signature is not checked here:
// the host has done that, and whoever receives the token does it again.
func spiffeID(audience string) (string, *refusal) {
	token, failure := storeGet(audience)
	if failure != nil {
		return "", failure
	}
	malformed := &refusal{502, "the host gave something that is not a JWT-SVID"}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", malformed
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", malformed
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Subject == "" {
		return "", malformed
	}
	return claims.Subject, nil
}
