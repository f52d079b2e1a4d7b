package main

import (
	"context"
	"errors"
	"io"
	"syscall/js"

	"portico/lightclient/problem"
)

// promise runs work on a goroutine and returns a promise of its result. Work
// returns a value or, if the promise is to be rejected, a reason.
func promise(work func() (value, reason any)) js.Value {
	var executor js.Func
	executor = js.FuncOf(func(_ js.Value, args []js.Value) any {
		resolve, reject := args[0], args[1]
		go func() {
			defer executor.Release()
			value, reason := work()
			if reason != nil {
				reject.Invoke(reason)
				return
			}
			resolve.Invoke(value)
		}()
		return nil
	})
	return js.Global().Get("Promise").New(executor)
}

// await waits for a promise. It must not run on the goroutine of a call from
// JavaScript, which would wait for itself.
func await(p js.Value) (js.Value, error) {
	type result struct {
		value js.Value
		err   error
	}
	done := make(chan result, 1)
	resolved := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- result{value: args[0]}
		return nil
	})
	rejected := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- result{err: errors.New(js.Global().Get("String").Invoke(args[0]).String())}
		return nil
	})
	defer resolved.Release()
	defer rejected.Release()
	p.Call("then", resolved, rejected)
	r := <-done
	return r.value, r.err
}

// next is a JavaScript function that gives the parts of a body one after the
// other, and null at the end. After the end or an error it must not be called.
func next(ctx *requestContext, more func(context.Context) ([]byte, error)) js.Func {
	var f js.Func
	f = js.FuncOf(func(js.Value, []js.Value) any {
		return promise(func() (any, any) {
			b, err := more(ctx)
			if err == nil {
				return bytesTo(b), nil
			}
			ctx.cancel()
			f.Release()
			if errors.Is(err, io.EOF) {
				return js.Null(), nil
			}
			return nil, problem.Of(err).Reason
		})
	})
	return f
}

// bytesOf copies a Uint8Array; null and undefined are empty.
func bytesOf(v js.Value) []byte {
	if v.IsNull() || v.IsUndefined() {
		return nil
	}
	b := make([]byte, v.Length())
	js.CopyBytesToGo(b, v)
	return b
}

// bytesTo copies into a Uint8Array.
func bytesTo(b []byte) js.Value {
	v := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(v, b)
	return v
}
