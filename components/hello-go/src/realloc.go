package main

import "unsafe"

// sbrk is the Go runtime's own way to more linear memory.
//
//go:linkname sbrk runtime.sbrk
func sbrk(bytes uintptr) unsafe.Pointer

// held keeps what the host allocated from the garbage collector until the export returns.
var held [][]uint64

// started is false while Go's runtime starts: then the preview 1 adapter already allocates, and nothing of Go's may be used.
var started bool

func init() { started = true }

func releaseAll() { held = held[:0] }

// Memory for what the host hands over. Every size and alignment that the canonical ABI asks for is at most 8.
//
//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize uint32, align uint32, size uint32) unsafe.Pointer {
	if old != nil || oldSize != 0 {
		panic("nothing here grows what it was given")
	}
	words := (uintptr(size) + 7) / 8
	if !started {
		return sbrk(words * 8)
	}
	block := make([]uint64, max(words, 1))
	held = append(held, block)
	return unsafe.Pointer(&block[0])
}
