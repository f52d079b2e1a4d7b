package main

import "syscall"

// dieWithParent makes the kernel stop a child when this process is gone, however it ended.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
