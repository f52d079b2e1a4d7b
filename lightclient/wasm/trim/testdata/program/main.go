// A program that needs of the runtime what trimming must not touch: stacks that
// grow and move, garbage collection in the middle of them, deferred calls, panics,
// goroutines and calls through reflection.
package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"sort"
	"sync"
)

type node struct {
	next *node
	pad  [64]byte
}

func main() {
	if len(os.Args) > 1 {
		end(os.Args[1])
	}
	var wg sync.WaitGroup
	sums := make([]int, 8)
	for i := range sums {
		wg.Add(1)
		go func() {
			defer wg.Done()
			sums[i] = deep(2000, &node{})
		}()
	}
	wg.Wait()
	fmt.Println(sums)
	fmt.Println(caught(func() { var s []int; _ = s[len(os.Args)+5] }))
	fmt.Println(caught(func() { panic(errors.New("on purpose")) }))
	fmt.Println(caught(func() { var n *node; n.next = n }))
	swap := reflect.MakeFunc(reflect.TypeFor[func(*node, string) (string, *node)](), func(in []reflect.Value) []reflect.Value {
		runtime.GC()
		return []reflect.Value{in[1], in[0]}
	}).Interface().(func(*node, string) (string, *node))
	s, n := swap(&node{}, "swapped")
	fmt.Println(s, n != nil)
	method := reflect.ValueOf(&node{next: &node{}}).MethodByName("Length").Interface().(func() int)
	fmt.Println(method())
	words := []string{"b", "c", "a"}
	sort.Slice(words, func(i, j int) bool { runtime.GC(); return words[i] < words[j] })
	fmt.Println(words)
}

// end ends the program in a way that is not caught.
func end(how string) {
	switch how {
	case "panic":
		panic(errors.New("on purpose"))
	case "nil":
		var n *node
		n.next = n
	case "map":
		var m map[string]int
		m[how] = 1
	case "deadlock":
		select {}
	}
}

// Length is called through reflection.
func (n *node) Length() int {
	runtime.GC()
	if n == nil {
		return 0
	}
	return 1 + n.next.Length()
}

func deep(n int, list *node) int {
	if n == 0 {
		return 0
	}
	defer func() { list.pad[0]++ }()
	if n%100 == 0 {
		runtime.GC()
	}
	return 1 + deep(n-1, &node{next: list})
}

func caught(f func()) (err any) {
	defer func() { err = recover() }()
	f()
	return nil
}
