package main

import "runtime/debug"

// version is the version of the project: .ci/dist.py, the Dockerfile and binder/ read it here.
const version = "0.1.0"

// versionText is the version, or what go install was asked for, with the commit where the build knows it.
func versionText() string {
	text := version
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return text
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		text = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return text + ", commit " + s.Value[:12]
		}
	}
	return text
}
