# The image: Debian, one binary, its units, its tunings. scripts/bake runs this; README.md says what comes out.
#
# IMDSv2 is demanded of the instances by the launch template (stack.yaml); of the machine that bakes it cannot be
# with packer 1.6.

locals {
  name = "trident-${var.version}-${var.stamp}"
  # What each processor is called by EC2, and a machine that has it.
  machines = {
    amd64 = { architecture = "x86_64", instance_type = "c7i.large" }
    arm64 = { architecture = "arm64", instance_type = "c8g.large" }
  }
  machine = local.machines[var.architecture]
  tags = {
    Name        = local.name
    Commit      = var.commit
    Sha256      = var.sha256
    Version     = var.version
    BaseImage   = "{{ .SourceAMI }}"
    BaseName    = "{{ .SourceAMIName }}"
    Provisioner = "packer"
  }
}

source "amazon-ebs" "debian" {
  ami_name                    = "${local.name}-${var.architecture}"
  ami_description             = "Trident ${var.version} (${var.commit}), ${var.architecture}"
  region                      = var.region
  ami_regions                 = var.copy_to_regions
  instance_type               = local.machine.instance_type
  vpc_id                      = var.vpc_id
  subnet_id                   = var.subnet_id
  encrypt_boot                = var.encrypt
  ena_support                 = true
  custom_endpoint_ec2         = var.custom_endpoint_ec2
  skip_metadata_api_check     = var.skip_metadata_api_check
  associate_public_ip_address = var.public_address
  ssh_username                = "admin"
  ssh_host                    = var.ssh_host
  ssh_port                    = var.ssh_port
  ssh_private_key_file        = var.ssh_private_key_file
  tags                        = local.tags
  snapshot_tags               = local.tags
  run_tags                    = { Name = "bake ${local.name}" }

  source_ami_filter {
    owners      = [var.base_owner]
    most_recent = true
    filters = {
      name                = "${var.base_name}-${var.architecture}-*"
      architecture        = local.machine.architecture
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.volume_gib
    iops                  = 3000
    throughput            = 125
    delete_on_termination = true
  }
}

# The same provisioning on a machine of one's own, for the proof without an account.
source "qemu" "local" {
  vm_name              = "trident.qcow2"
  output_directory     = var.qemu_output
  iso_url              = var.qemu_image
  iso_checksum         = var.qemu_image_checksum
  disk_image           = true
  format               = "qcow2"
  accelerator          = "none"
  headless             = true
  disable_vnc          = true
  boot_wait            = "1s"
  qemuargs             = var.qemu_args
  memory               = 1024
  cpus                 = 1 # a second one costs an emulator more than it helps
  ssh_username         = "admin"
  ssh_private_key_file = var.ssh_private_key_file
  ssh_timeout          = "30m" # emulated, and perhaps beside other work
  shutdown_command     = "sudo systemctl poweroff"
}

build {
  sources = ["source.amazon-ebs.debian", "source.qemu.local"]

  provisioner "file" {
    source      = var.bundle
    destination = "/tmp/bundle.tar"
  }

  provisioner "shell" {
    execute_command = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
    environment_vars = [
      "BUNDLE=/tmp/bundle.tar",
      "SHA256=${var.sha256}",
      "SSM_AGENT_URL=${var.ssm_agent_url}",
      "CLOUDWATCH_AGENT_URL=${var.cloudwatch_agent_url}",
    ]
    scripts = [
      "ami/provision/10-base.sh",
      "ami/provision/20-unpack.sh",
      "ami/provision/30-binary.sh",
      "ami/provision/40-rootfs.sh",
      "ami/provision/50-store.sh",
      "ami/provision/60-services.sh",
      "ami/provision/80-cleanup.sh",
      "ami/provision/90-selftest.sh",
    ]
  }

  post-processor "manifest" {
    output     = "target/bake/manifest.json"
    strip_path = true
    custom_data = {
      commit  = var.commit
      sha256  = var.sha256
      version = var.version
    }
  }
}
