//go:build !windows

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// venv is the Python environment with Jupyter in which make installs the kernel.
func venv(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("KVNOTES_VENV")
	if dir == "" {
		dir = filepath.Join("..", "..", ".venv")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "share", "jupyter", "kernels", kernelName)); err != nil {
		t.Skipf("NOT RUN: no Jupyter with this kernel in %s: make kernel", dir)
	}
	return dir
}

// TestKernelInJupyter runs the protocol's own suite and ours against the installed kernel.
func TestKernelInJupyter(t *testing.T) {
	c := exec.Command(filepath.Join(venv(t), "bin", "python"), filepath.Join("testdata", "kernel_test.py"))
	c.Env = append(os.Environ(), "JUPYTER_DATA_DIR="+t.TempDir(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := c.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func TestInstallAndUninstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share", "jupyter", "kernels", kernelName)
	for range 2 { // the second time over the first
		if err := install(dir, ""); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 {
		t.Errorf("the kernelspec holds %v", files)
	}
	if err := install(dir, filepath.Join(dir, "nothing.js")); err == nil {
		t.Error("a missing echarts file is not noticed")
	}
	if _, err := os.Stat(filepath.Join(dir, "kernel.json")); err != nil {
		t.Errorf("a failed installation took the old one away: %v", err)
	}
	others, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*"))
	if err != nil || len(others) > 0 {
		t.Errorf("installing left %v behind", others)
	}
}
