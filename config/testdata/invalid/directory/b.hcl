sync "shop" { source = source.git.shpo }
