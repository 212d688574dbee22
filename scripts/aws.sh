# What deploy, roll and destroy share. Sourced, never run.
# shellcheck shell=bash

stack=trident
dry=0

say() { printf '%s\n' "$*"; }
fail() { # code, message
    printf '%s: %s\n' "$(basename "$0")" "$2" >&2
    exit "$1"
}

# The comment at the top of the calling script.
usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }

# Runs a command that changes something, or only shows it.
act() {
    if ((dry)); then
        printf 'would run:'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

need_aws() {
    command -v aws >/dev/null || fail 69 'the AWS CLI is not installed: https://aws.amazon.com/cli/'
    aws sts get-caller-identity --output text --query Account >/dev/null ||
        fail 69 "no AWS credentials; run 'aws configure' or 'aws sso login'"
}

# A value of the stack's outputs.
output() {
    aws cloudformation describe-stacks --stack-name "$stack" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}

# Physical name of a resource of the stack.
resource() {
    aws cloudformation describe-stack-resources --stack-name "$stack" --output text \
        --query "StackResources[?LogicalResourceId=='$1'].PhysicalResourceId"
}

# Instances wanted, and targets the balancer finds healthy.
wanted() {
    aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$stack" --output text \
        --query 'AutoScalingGroups[0].DesiredCapacity'
}
healthy() {
    aws elbv2 describe-target-health --target-group-arn "$(output TargetGroupArn)" --output text \
        --query "length(TargetHealthDescriptions[?TargetHealth.State=='healthy'])"
}

# Waits until as many targets are healthy as instances are wanted. Argument: seconds.
wait_healthy() {
    local deadline=$((SECONDS + $1)) want have
    while :; do
        want=$(wanted)
        have=$(healthy)
        say "targets healthy: $have of $want"
        ((have >= want)) && return 0
        ((SECONDS < deadline)) || return 1
        sleep 10
    done
}
