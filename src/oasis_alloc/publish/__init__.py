"""Published policies: a directory of snapshots, a manifest of versions, and signatures; docs/publishing.md."""
