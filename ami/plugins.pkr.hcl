# Alone in its file: Debian's packer 1.6 knows no required_plugins and brings these plugins itself; scripts/test-ops
# validates without this file there.
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3"
    }
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.1"
    }
  }
}
