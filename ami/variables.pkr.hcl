# Set by scripts/bake, which also checks them.

variable "bundle" {
  type        = string
  description = "Archive made by scripts/bake: binary, checksum, SBOM, units, rootfs, perhaps a store"
  default     = "target/bake/bundle.tar"
}

variable "commit" {
  type        = string
  description = "Commit the binary was built from; a tag of the image"
  default     = "unknown"
}

variable "sha256" {
  type        = string
  description = "Checksum of the binary; a tag of the image, checked while provisioning"
  default     = ""
}

variable "version" {
  type        = string
  description = "Version of Trident; part of the image's name"
  default     = "0.0.0"
}

variable "stamp" {
  type        = string
  description = "Time of the build, YYYYMMDDhhmmss; part of the image's name"
  default     = "00000000000000"
}

variable "region" {
  type        = string
  description = "Region the image is made in; scripts/bake --region sets it"
  default     = "us-east-1"
}

variable "vpc_id" {
  type        = string
  description = "Network of the machine that bakes; empty = the default VPC, which some accounts have no more"
  default     = ""
}

variable "subnet_id" {
  type        = string
  description = "Its subnet, with a way to Debian's packages; empty = any of the default VPC"
  default     = ""
}

variable "public_address" {
  type        = bool
  description = "Give it a public address to be reached by; false needs a way into the network"
  default     = true
}

variable "copy_to_regions" {
  type        = list(string)
  description = "Further regions the image is copied to"
  default     = []
}

variable "encrypt" {
  type        = bool
  description = "Encrypt the image's volume with the account's default key; such an image cannot be shared"
  default     = false
}

variable "volume_gib" {
  type        = number
  description = "Size of the image's volume"
  default     = 8
}

variable "architecture" {
  type        = string
  description = "Processor of the binary, amd64 or arm64; scripts/bake reads it from the binary"
  default     = "amd64"
}

variable "base_owner" {
  type        = string
  description = "Account that publishes the base image: Debian"
  default     = "136693071363"
}

variable "base_name" {
  type        = string
  description = "Base image without its processor: the newest of this name is taken"
  default     = "debian-13"
}

variable "ssm_agent_url" {
  type        = string
  description = "Package of the agent for Session Manager, ARCH in it replaced by amd64 or arm64; empty = none, and no way in"
  default     = "https://s3.amazonaws.com/ec2-downloads-linux/SSMAgent/latest/debian_ARCH/amazon-ssm-agent.deb"
}

variable "cloudwatch_agent_url" {
  type        = string
  description = "Package of the agent that sends logs where LogRetentionDays is set, ARCH replaced likewise; empty = none"
  default     = "https://amazoncloudwatch-agent.s3.amazonaws.com/debian/ARCH/latest/amazon-cloudwatch-agent.deb"
}

variable "qemu_image" {
  type        = string
  description = "Disk image for the local proof, with an SSH server that takes the key below"
  default     = ""
}

variable "qemu_output" {
  type        = string
  description = "Directory that the local proof makes its disk in; it must not exist"
  default     = "target/bake/qemu"
}

variable "qemu_image_checksum" {
  type        = string
  description = "Its checksum, as file:… or sha256:…; none = not checked"
  default     = "none"
}

variable "qemu_args" {
  type        = list(list(string))
  description = "Further arguments of QEMU, each with its value: a kernel for an image without a boot loader"
  default     = []
}

variable "ssh_private_key_file" {
  type        = string
  description = "Key for the local proof, and for a builder that reaches a machine of its own; empty = a temporary key"
  default     = ""
}

# The three below are for the proof against a local EC2; empty and false on the real one.

variable "custom_endpoint_ec2" {
  type        = string
  description = "Address of another EC2 service"
  default     = ""
}

variable "ssh_host" {
  type        = string
  description = "Machine to provision instead of the one the EC2 service names"
  default     = ""
}

variable "ssh_port" {
  type        = number
  description = "Its SSH port"
  default     = 22
}

variable "skip_metadata_api_check" {
  type        = bool
  description = "Do not ask the metadata service of the machine packer runs on for credentials"
  default     = false
}
