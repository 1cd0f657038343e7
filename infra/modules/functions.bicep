// The function app on Flex Consumption. Runtime, scale and package lie in functionAppConfig; the settings of other plans must not be set.
param location string
param tags object
param token string
param deployment string
param pythonVersion string
param identityId string
param identityClientId string
param writerId string
param writerClientId string
param writerCredential string
param telemetryConnection string
param storageName string
param packagesUrl string
param tablesUrl string
param tableName string
param sealsUrl string
param busHost string
param queueName string
param vaultUri string
param cloud string
param graphTenant string
param haloUrl string
param haloAuthUrl string
param haloTenant string
param haloScope string
param haloClientId string
param haloProfile string

@description('The most instances of one function. Each works on eight people at once, and Halo\'s few hundred calls in five minutes are the ceiling.')
param maximumInstanceCount int = 40

@description('512, 2048 or 4096.')
param instanceMemoryMB int = 2048

// Also what one process has threads for: see docs/functions.md.
var threads = 16

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-joinery-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-04-01' = {
  name: 'func-joinery-${token}'
  location: location
  // azd finds the app by its service's name.
  tags: union(tags, { 'azd-service-name': 'joinery' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: union({ '${identityId}': {} }, writerId == '' ? {} : { '${writerId}': {} })
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    functionAppConfig: {
      runtime: { name: 'python', version: pythonVersion }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packagesUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        // Graph waits a few seconds for its answer and gives up on slow addresses: one instance is always warm.
        alwaysReady: [{ name: 'http', instanceCount: 1 }]
        triggers: { http: { perInstanceConcurrency: threads } }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
    }
  }

  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  // All settings of the app: a deployment replaces them, so what is set by hand is gone with the next one.
  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      // the platform
      AzureWebJobsStorage__accountName: storageName
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identityClientId
      APPLICATIONINSIGHTS_CONNECTION_STRING: telemetryConnection
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
      PYTHON_THREADPOOL_THREAD_COUNT: string(threads)
      AZURE_CLIENT_ID: identityClientId

      // the bus: the trigger and our sender read the same three
      ServiceBusConnection__fullyQualifiedNamespace: busHost
      ServiceBusConnection__credential: 'managedidentity'
      ServiceBusConnection__clientId: identityClientId
      JOINERY_QUEUE: 'servicebus'
      JOINERY_QUEUE_NAME: queueName

      // Joinery
      JOINERY_DEPLOYMENT: deployment
      JOINERY_PUBLIC_URL: 'https://${site.properties.defaultHostName}'
      // The package is mounted read-only.
      JOINERY_DATA: '/tmp/joinery'
      JOINERY_STORE: 'tables'
      JOINERY_TABLES_URL: tablesUrl
      JOINERY_TABLES_NAME: tableName
      JOINERY_SEALS_URL: sealsUrl
      JOINERY_CLIENT_STATE: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/client-state)'
      JOINERY_CLIENT_STATE_PREVIOUS: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/client-state-previous)'

      // Entra ID
      JOINERY_CLOUD: cloud
      JOINERY_GRAPH_TENANT: graphTenant
      JOINERY_GRAPH_CREDENTIAL: 'managed-identity'
      JOINERY_GRAPH_WRITE_CREDENTIAL: writerCredential
      JOINERY_GRAPH_WRITE_IDENTITY: writerClientId

      // Halo
      JOINERY_HALO_URL: haloUrl
      JOINERY_HALO_AUTH_URL: haloAuthUrl
      JOINERY_HALO_TENANT: haloTenant
      JOINERY_HALO_SCOPE: haloScope
      JOINERY_HALO_PROFILE: haloProfile
      JOINERY_HALO_CLIENT_ID: haloClientId
      JOINERY_HALO_CLIENT_SECRET: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/halo-client-secret)'
      JOINERY_DESK_WEBHOOK_SECRET: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/desk-webhook-secret)'
      JOINERY_DESK_WEBHOOK_USER: 'joinery'
      JOINERY_DESK_WEBHOOK_PASSWORD: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/desk-webhook-password)'
    }
  }
}

output name string = site.name
output url string = 'https://${site.properties.defaultHostName}'
