variable "from_env" { type = string }
locals {
  regions = ["eu", "us"]
  parsed  = yamldecode("a: [1, two, null]\nb: {c: true}")
}
source "git" "shop" {
  url   = format("https://%s/%s.git", "git.example.com", lower("SHOP"))
  token = trimspace(file("some.txt"))
  values = {
    abs          = abs(-3)
    base64       = [base64encode("text"), base64decode("dGV4dA==")]
    paths        = [basename("/a/b"), dirname("/a/b"), abspath("x"), abspath("~/x")]
    can          = [can(local.parsed.a), can(local.parsed.z), try(local.parsed.z, "none")]
    collections  = [concat([1], [2]), contains(local.regions, "eu"), distinct([1, 1]), flatten([[1], [2, [3]]])]
    conditional  = var.from_env == "env-value" ? "yes" : "no"
    env          = [env("CITY"), env("UNSET", "default"), var.from_env]
    for_list     = [for i, r in local.regions : "${i}${r}" if r != "us"]
    for_map      = { for r in local.regions : r => upper(r) }
    heredoc      = <<-TEXT
      %{for r in local.regions~}
      ${r}
      %{endfor~}
    TEXT
    join         = join(",", sort(["b", "a"]))
    json         = [jsonencode({ a = [1] }), jsondecode("{\"a\": 1.50}")]
    length       = [length("abc"), length([1]), length({ a = 1 })]
    map          = [keys({ b = 1, a = 2 }), values({ b = 1, a = 2 }), lookup({ a = 1 }, "b", 0), merge({ a = 1 }, { b = 2 }), zipmap(["a"], [1])]
    number       = [max(1, 2), min(1, 2), ceil(1.2), floor(1.8), parseint("ff", 16), tonumber("3"), 12345678901234567890123, 0.1, 1e100]
    regex        = [regex("[a-z]+", "12ab"), regexall("[a-z]", "ab"), replace("aXb", "X", "-"), replace("a1b", "/[0-9]/", "-")]
    sha256       = sha256("text")
    splat        = [{ n = 1 }, { n = 2 }][*].n
    sets         = [setunion([1], [2]), setintersection([1, 2], [2]), setsubtract([1, 2], [2]), setproduct(["a"], ["b"])]
    slices       = [element([1, 2], 3), slice([1, 2, 3], 1, 2), range(3), reverse([1, 2]), compact(["", "a"]), coalesce("", "b")]
    split        = split("/", "a/b")
    strings      = [title("ab"), substr("hello", 1, 3), trim("xax", "x"), trimprefix("ab", "a"), trimsuffix("ab", "b"), chomp("a\n"), indent(2, "a\nb")]
    tests        = [startswith("abc", "ab"), endswith("abc", "bc"), strcontains("abc", "b")]
    convert      = [tostring(1), tobool("true"), toset(["b", "a", "b"]), tolist([1]), tomap({ a = 1 })]
    yaml         = [yamlencode({ a = [1] }), local.parsed]
    formatlist   = formatlist("%s!", local.regions)
    secret       = secret("hidden-in-values")
    nested       = { password = secret("other-hidden"), plain = "shown" }
    unusual      = { "with space" = 1, (local.regions[0]) = 2 }
  }
}
sync "shop" { source = source.git.shop }
