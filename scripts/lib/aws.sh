# What deploy, roll and destroy share. Sourced, never run.
# shellcheck shell=bash

stack=trident
region=''
dry=0
offline=0

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

# The region, from --region, the environment or the profile: the same for bake, deploy, roll and destroy.
need_region() {
    region=${region:-${AWS_REGION:-${AWS_DEFAULT_REGION:-}}}
    [[ -n $region ]] || region=$(aws configure get region 2>/dev/null) || true
    if [[ -z $region ]]; then
        ((dry)) || fail 64 "no region: give --region NAME, set AWS_REGION, or run 'aws configure set region NAME'"
        region=REGION
    fi
    export AWS_REGION=$region AWS_DEFAULT_REGION=$region
}

# The AWS CLI, a region and credentials that work. A dry run does without: then `offline` is 1.
need_aws() {
    local said
    offline=0
    if ! command -v aws >/dev/null; then
        ((dry)) || fail 69 'the AWS CLI is not installed: https://aws.amazon.com/cli/'
        offline=1
    fi
    need_region
    ((offline == 0)) || return 0
    if [[ $region != REGION ]]; then
        said=$(aws sts get-caller-identity --output text --query Account 2>&1) && return 0
    else
        said='no region'
    fi
    if ((dry)); then
        offline=1
        printf '%s: no account to look at (%s): nothing there is looked at\n' "$(basename "$0")" "${said//$'\n'/ }" >&2
        return 0
    fi
    case "$said" in
    *ExpiredToken* | *RequestExpired* | *'has expired'* | *'refresh failed'*)
        fail 69 "the AWS credentials have expired; run 'aws sso login', or get new ones"
        ;;
    *'Unable to locate credentials'* | *'could not be found'*)
        fail 69 "no AWS credentials; run 'aws configure' or 'aws sso login', or set AWS_PROFILE"
        ;;
    *) fail 69 "AWS does not accept these credentials in $region: $said" ;;
    esac
}

# The parameters the stack has, as a JSON object; {} without a stack.
stack_parameters() {
    local told
    if told=$(aws cloudformation describe-stacks --stack-name "$stack" --output json --query 'Stacks[0].Parameters' 2>&1); then
        python3 -c 'import json, sys
print(json.dumps({one["ParameterKey"]: one.get("ParameterValue", "") for one in json.load(sys.stdin) or []}))' <<<"$told"
    elif [[ $told == *'does not exist'* ]]; then
        say '{}'
    else
        fail 1 "cannot look at the stack $stack: $told"
    fi
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

# What the group makes instances from: id and version of its launch template, and its image.
template() {
    aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$stack" --output text \
        --query 'AutoScalingGroups[0].LaunchTemplate.[LaunchTemplateId,Version]'
}
image_of() { # launch template, version
    aws ec2 describe-launch-template-versions --launch-template-id "$1" --versions "$2" --output text \
        --query 'LaunchTemplateVersions[0].LaunchTemplateData.ImageId'
}

# The newest image of this account for the processor of an instance type.
latest_image() { # instance type
    local architectures image
    architectures=$(aws ec2 describe-instance-types --instance-types "$1" --output text \
        --query 'InstanceTypes[0].ProcessorInfo.SupportedArchitectures') || fail 1 "EC2 knows no instance type $1"
    architectures=${architectures//[[:space:]]/,}
    image=$(aws ec2 describe-images --owners self --output text --query 'sort_by(Images, &CreationDate)[-1].ImageId' \
        --filters 'Name=name,Values=trident-*' Name=state,Values=available "Name=architecture,Values=$architectures")
    [[ $image == ami-* ]] || fail 1 "this account has no image called trident-* for $1 ($architectures); \
make one with scripts/bake on such a processor, or choose another type with --set InstanceType=…"
    say "$image"
}

# Instances that were made from another version of the launch template than the group's.
stale() {
    aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$stack" --output text --query \
        "length(AutoScalingGroups[0].Instances[?LaunchTemplate.Version != '$(template | cut -f 2)'])"
}

# A field of the newest instance refresh; None without one.
refresh() {
    aws autoscaling describe-instance-refreshes --auto-scaling-group-name "$stack" --max-records 1 --output text \
        --query "InstanceRefreshes[0].$1"
}

# Waits for the end of a change of the stack and says what failed. Argument: create, update or delete.
wait_stack() {
    aws cloudformation wait "stack-$1-complete" --stack-name "$stack" && return
    aws cloudformation describe-stack-events --stack-name "$stack" --output text --max-items 200 \
        --query "StackEvents[?contains(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]" >&2 || true
    fail 1 "$1 of stack $stack failed; the reasons are above, the last one first"
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
