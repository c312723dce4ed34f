package main

import (
	"runtime"
	"unsafe"
)

// The part of the canonical ABI that this component needs, by hand; layouts are those of the WIT in wit/ and of WASI 0.2.12.
// `go:wasmimport` takes pointers to structs only of the layout `structs.HostLayout`; unsafe.Pointer says less and serves here.

//go:wasmimport wasmcloud:identity/store@0.0.1 get
func wasmStoreGet(audience unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-request.path-with-query
func wasmPathWithQuery(self uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]incoming-request
func wasmDropRequest(self uint32)

//go:wasmimport wasi:http/types@0.2.12 [constructor]fields
func wasmNewFields() uint32

//go:wasmimport wasi:http/types@0.2.12 [method]fields.append
func wasmAppendField(self uint32, name unsafe.Pointer, nameLength uint32, value unsafe.Pointer, valueLength uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [constructor]outgoing-response
func wasmNewResponse(headers uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-response.set-status-code
func wasmSetStatus(self uint32, status uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-response.body
func wasmResponseBody(self uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [static]response-outparam.set
func wasmSetResponse(out uint32, isError uint32, response uint32, a uint32, b uint64, c uint32, d uint32, e uint32, f uint32)

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-body.write
func wasmBodyStream(self uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [static]outgoing-body.finish
func wasmFinishBody(self uint32, hasTrailers uint32, trailers uint32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.12 [method]output-stream.blocking-write-and-flush
func wasmWrite(self uint32, bytes unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.12 [resource-drop]output-stream
func wasmDropStream(self uint32)

//go:wasmexport wasi:http/incoming-handler@0.2.12#handle
func exportHandle(request uint32, out uint32) {
	handle(incomingRequest(request), responseOutparam(out))
	releaseAll()
}

//go:wasmexport wasi:cli/run@0.2.12#run
func exportRun() uint32 {
	defer releaseAll()
	if run() {
		return 0
	}
	return 1
}

type incomingRequest uint32

func (request incomingRequest) drop() { wasmDropRequest(uint32(request)) }

func (request incomingRequest) pathWithQuery() string {
	var result struct {
		isSome uint32
		at     uint32
		length uint32
	}
	wasmPathWithQuery(uint32(request), unsafe.Pointer(&result))
	if result.isSome&0xff == 0 {
		return ""
	}
	return text(result.at, result.length)
}

type responseOutparam uint32

// handleResult is `result<own<…>>`.
type handleResult struct {
	isError uint32
	handle  uint32
}

func respond(out responseOutparam, status uint16, body string) {
	var result [10]uint64
	fields := wasmNewFields()
	name, value := "content-type", "text/plain; charset=utf-8"
	wasmAppendField(fields, pointer(name), uint32(len(name)), pointer(value), uint32(len(value)), unsafe.Pointer(&result))
	response := wasmNewResponse(fields)
	wasmSetStatus(response, uint32(status))
	var outgoing, stream handleResult
	wasmResponseBody(response, unsafe.Pointer(&outgoing))
	wasmSetResponse(uint32(out), 0, response, 0, 0, 0, 0, 0, 0)
	wasmBodyStream(outgoing.handle, unsafe.Pointer(&stream))
	// `blocking-write-and-flush` takes at most 4096 bytes at a time.
	for rest := body; rest != ""; {
		chunk := rest[:min(len(rest), 4096)]
		rest = rest[len(chunk):]
		wasmWrite(stream.handle, pointer(chunk), uint32(len(chunk)), unsafe.Pointer(&result))
	}
	wasmDropStream(stream.handle)
	wasmFinishBody(outgoing.handle, 0, 0, unsafe.Pointer(&result))
	runtime.KeepAlive(body)
}

func storeGet(audience string) (string, *refusal) {
	// result<option<string>, error>: tag; then option or variant: tag; then the string.
	var result struct {
		isError uint32
		tag     uint32
		at      uint32
		length  uint32
	}
	wasmStoreGet(pointer(audience), uint32(len(audience)), unsafe.Pointer(&result))
	runtime.KeepAlive(audience)
	notFound := &refusal{403, "no registration entry matches this component"}
	tag := result.tag & 0xff
	if result.isError&0xff == 0 {
		if tag == 0 {
			return "", notFound
		}
		return text(result.at, result.length), nil
	}
	switch tag {
	case 0: // io
		return "", &refusal{503, text(result.at, result.length)}
	case 2: // other
		return "", &refusal{403, text(result.at, result.length)}
	default: // not-found
		return "", notFound
	}
}

func pointer(text string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(text)) }

// text copies what the host wrote.
func text(at uint32, length uint32) string {
	if length == 0 {
		return ""
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(uintptr(at))), length))
}
