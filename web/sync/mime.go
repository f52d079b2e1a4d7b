package sync

import (
	"path"
	"strings"
)

const octets = "application/octet-stream"

// contentType is the media type of a file by the end of its name. The table is ours:
// the system's would differ from machine to machine, and a site with it.
func contentType(name string) string {
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
	for kind, extensions := range map[string]string{
		"text/html": "html htm", "text/css": "css", "text/javascript": "js mjs cjs jsx", "text/plain": "txt text log conf ini",
		"text/markdown": "md markdown", "text/csv": "csv", "text/xml": "xml xsl", "text/calendar": "ics", "text/vtt": "vtt", "text/x-toml": "toml",
		"text/x-yaml": "yaml yml", "text/cache-manifest": "appcache", "application/json": "json map", "application/ld+json": "jsonld",
		"application/manifest+json": "webmanifest", "application/wasm": "wasm", "application/xhtml+xml": "xhtml", "application/rss+xml": "rss",
		"application/atom+xml": "atom", "application/pdf": "pdf", "application/zip": "zip", "application/gzip": "gz", "application/x-tar": "tar",
		"application/rtf": "rtf", "application/vnd.ms-fontobject": "eot", "application/epub+zip": "epub", "application/xml-dtd": "dtd",
		"image/png": "png", "image/jpeg": "jpg jpeg", "image/gif": "gif", "image/webp": "webp", "image/avif": "avif", "image/svg+xml": "svg svgz",
		"image/x-icon": "ico", "image/bmp": "bmp", "image/tiff": "tif tiff", "image/jxl": "jxl", "image/heic": "heic", "font/woff": "woff",
		"font/woff2": "woff2", "font/ttf": "ttf", "font/otf": "otf", "audio/mpeg": "mp3", "audio/wav": "wav", "audio/ogg": "ogg oga opus",
		"audio/mp4": "m4a", "audio/aac": "aac", "audio/flac": "flac", "audio/midi": "mid midi", "audio/webm": "weba", "video/mp4": "mp4 m4v",
		"video/webm": "webm", "video/ogg": "ogv", "video/quicktime": "mov", "video/x-msvideo": "avi", "video/mpeg": "mpg mpeg",
		"application/vnd.apple.mpegurl": "m3u8", "model/gltf-binary": "glb", "model/gltf+json": "gltf",
	} {
		for e := range strings.FieldsSeq(extensions) {
			if e == ext {
				return kind
			}
		}
	}
	return octets
}

// compressible reports whether a media type is one of text, in a wide sense.
func compressible(kind string) bool {
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "json") ||
		kind == "application/wasm" || kind == "application/rtf"
}
