source 'git' 'shop' {
  url = 'x'
}
