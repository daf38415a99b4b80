sync "a" { source = source.git.a, paths = ["x"] }
