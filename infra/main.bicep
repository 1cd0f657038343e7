// Everything Joinery needs in one resource group. README.md says how to get from here to the first ticket.
targetScope = 'subscription'

@description('Name of the deployment: it stands in every resource, and in every key that Joinery writes. Never change it later.')
@minLength(1)
@maxLength(20)
param environmentName string

@description('Azure region; it has to offer Flex Consumption.')
param location string

@description('Object id of whoever deploys: may write the secrets, and read state and seals with the command.')
param principalId string

@description('User, or ServicePrincipal where a pipeline deploys.')
@allowed(['User', 'ServicePrincipal'])
param principalType string = 'User'

@description('Who is told when something needs a person.')
param alertEmail string

@description('Root of Halo without /api, e.g. https://contoso.haloitsm.com.')
param haloUrl string

@description('Client id of the API application in Halo.')
param haloClientId string

@description('Halo\'s authorisation server where it is not haloUrl/auth; else empty.')
param haloAuthUrl string = ''

@description('Halo tenant for the token request where it needs one; else empty.')
param haloTenant string = ''

@description('Scope of Halo\'s token, as narrow as the API application allows.')
param haloScope string

@description('Profile of what this Halo does otherwise than most, e.g. config/halo.toml; empty where nothing.')
param haloProfile string = ''

@description('Entra tenant whose people are watched.')
param graphTenant string = tenant().tenantId

@description('Microsoft cloud of that tenant.')
@allowed(['global', 'us-gov', 'us-gov-dod', 'china'])
param cloud string = 'global'

@description('true for a policy that cuts leavers off in the directory: a second identity, which writes there and reads nothing.')
param directoryWrites bool = false

@description('3.11, 3.12 or 3.13.')
@allowed(['3.11', '3.12', '3.13'])
param pythonVersion string = '3.12'

@description('Standard_LRS in a region without availability zones.')
@allowed(['Standard_ZRS', 'Standard_LRS'])
param storageRedundancy string = 'Standard_ZRS'

@description('How long a blob of seals cannot be deleted after the last seal in it, in days.')
@minValue(1)
@maxValue(146000)
param sealRetentionDays int = 730

@description('true once the policy of the seals was locked: a locked policy refuses to be deployed again.')
param sealsLocked bool = false

var tags = { 'azd-env-name': environmentName }
var token = toLower(uniqueString(subscription().id, environmentName, location))

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-joinery-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: group
  name: 'identity'
  params: {
    location: location
    tags: tags
    name: 'id-joinery-${token}'
  }
}

module writer 'modules/identity.bicep' = if (directoryWrites) {
  scope: group
  name: 'writer'
  params: {
    location: location
    tags: tags
    name: 'id-joinery-writer-${token}'
  }
}

module telemetry 'modules/telemetry.bicep' = {
  scope: group
  name: 'telemetry'
  params: {
    location: location
    tags: tags
    token: token
    appPrincipalId: identity.outputs.principalId
  }
}

module state 'modules/state.bicep' = {
  scope: group
  name: 'state'
  params: {
    location: location
    tags: tags
    name: 'st${token}'
    redundancy: storageRedundancy
    appPrincipalId: identity.outputs.principalId
    operatorPrincipalId: principalId
    operatorPrincipalType: principalType
  }
}

module seals 'modules/seals.bicep' = {
  scope: group
  name: 'seals'
  params: {
    location: location
    tags: tags
    name: 'seal${token}'
    redundancy: storageRedundancy
    retentionDays: sealRetentionDays
    locked: sealsLocked
    appPrincipalId: identity.outputs.principalId
    operatorPrincipalId: principalId
    operatorPrincipalType: principalType
  }
}

module bus 'modules/bus.bicep' = {
  scope: group
  name: 'bus'
  params: {
    location: location
    tags: tags
    name: 'sb-joinery-${token}'
    appPrincipalId: identity.outputs.principalId
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  name: 'vault'
  params: {
    location: location
    tags: tags
    name: 'kv-${token}'
    appPrincipalId: identity.outputs.principalId
    operatorPrincipalId: principalId
    operatorPrincipalType: principalType
  }
}

module functions 'modules/functions.bicep' = {
  scope: group
  name: 'functions'
  params: {
    location: location
    tags: tags
    token: token
    deployment: environmentName
    pythonVersion: pythonVersion
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    writerId: directoryWrites ? writer.outputs.id : ''
    writerCredential: directoryWrites ? 'managed-identity' : ''
    writerClientId: directoryWrites ? writer.outputs.clientId : ''
    telemetryConnection: telemetry.outputs.connection
    storageName: state.outputs.name
    packagesUrl: state.outputs.packagesUrl
    tablesUrl: state.outputs.tablesUrl
    tableName: state.outputs.tableName
    sealsUrl: seals.outputs.url
    busHost: bus.outputs.host
    queueName: bus.outputs.queueName
    vaultUri: vault.outputs.uri
    cloud: cloud
    graphTenant: graphTenant
    haloUrl: haloUrl
    haloAuthUrl: haloAuthUrl
    haloTenant: haloTenant
    haloScope: haloScope
    haloClientId: haloClientId
    haloProfile: haloProfile
  }
}

module alarms 'modules/alarms.bicep' = {
  scope: group
  name: 'alarms'
  params: {
    location: location
    tags: tags
    email: alertEmail
    workspaceId: telemetry.outputs.workspaceId
    componentId: telemetry.outputs.componentId
    namespaceId: bus.outputs.id
    queueName: bus.outputs.queueName
    healthUrl: '${functions.outputs.url}/api/health'
  }
}

// azd keeps these in its environment: the scripts beside this file read them there, and so does the command on an operator's machine.
output FUNCTION_APP_NAME string = functions.outputs.name
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output WRITER_PRINCIPAL_ID string = directoryWrites ? writer.outputs.principalId : ''
output RESOURCE_GROUP_NAME string = group.name
output SEALS_ACCOUNT_NAME string = seals.outputs.accountName
output VAULT_NAME string = vault.outputs.name
output JOINERY_CLOUD string = cloud
output JOINERY_DEPLOYMENT string = environmentName
output JOINERY_GRAPH_TENANT string = graphTenant
output JOINERY_HALO_URL string = haloUrl
output JOINERY_PUBLIC_URL string = functions.outputs.url
output JOINERY_SEALS_URL string = seals.outputs.url
output JOINERY_STORE string = 'tables'
output JOINERY_TABLES_NAME string = state.outputs.tableName
output JOINERY_TABLES_URL string = state.outputs.tablesUrl
