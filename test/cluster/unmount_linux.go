package main

import "syscall"

func unmount(point string) error { return syscall.Unmount(point, syscall.MNT_DETACH) }
