variable "production" { default = true }
