// What a person must hear of, and what docs/operations.md says to do about it.
param location string
param tags object
param email string
param workspaceId string
param componentId string
param namespaceId string
param queueName string
param healthUrl string

@description('Where the health check is asked from.')
param healthLocations array = ['emea-nl-ams-azr', 'emea-gb-db3-azr', 'us-va-ash-azr', 'apac-sg-sin-azr']

// One number each, in a column called found. A line carries its fields behind its message. `make check` compares the names with functions and
// with what is logged.
var questions = [
  {
    name: 'no-sweep'
    says: 'No sweep of the directory has ended for 15 minutes: what no notification tells is not seen.'
    severity: 1
    window: 'PT15M'
    query: 'AppRequests | where Name == "sweep" and Success | summarize found = count()'
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'functions-fail'
    says: 'Functions failed more than three times in 15 minutes; the log around it says why.'
    severity: 1
    window: 'PT15M'
    query: 'AppRequests | where Name != "health" | where not(Success) and (toint(ResultCode) >= 500 or Name in ("person_messages", "tick", "sweep", "renew_subscriptions")) | summarize found = count()'
    operator: 'GreaterThan'
    threshold: 3
  }
  {
    name: 'needs-a-person'
    says: 'Something needs a person: see the alert ticket on the desk, or joinery alerts list.'
    severity: 2
    window: 'PT5M'
    query: 'AppTraces | where Message startswith "alert raised" | summarize found = count()'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'defects'
    says: 'A message could not be handled because of a defect; it comes again, and is parked if it stays so.'
    severity: 2
    window: 'PT15M'
    query: 'AppTraces | where Message startswith "handling failed" or Message startswith "recipe failed" | summarize found = count()'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'halo-budget'
    says: 'The budget of calls to Halo was spent in most minutes of the last half hour: work waits. See JOINERY_HALO_CALLS.'
    severity: 3
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "call budget spent" | summarize found = dcount(bin(TimeGenerated, 1m))'
    operator: 'GreaterThan'
    threshold: 15
  }
  {
    name: 'not-sealed'
    says: 'The audit could not be sealed again and again in the last hour: the container of the seals refuses, or does not answer.'
    severity: 2
    window: 'PT1H'
    query: 'AppTraces | where Message startswith "not sealed" | summarize found = count()'
    operator: 'GreaterThan'
    threshold: 10
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-joinery'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'joinery'
    enabled: true
    emailReceivers: [{ name: 'operators', emailAddress: email, useCommonAlertSchema: true }]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = [
  for one in questions: {
    name: 'joinery-${one.name}'
    location: location
    tags: tags
    properties: {
      displayName: 'Joinery: ${one.name}'
      description: one.says
      severity: one.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: 'PT5M'
      windowSize: one.window
      // In a new workspace the tables come with the first line in them.
      skipQueryValidation: true
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: one.query
            metricMeasureColumn: 'found'
            timeAggregation: 'Total'
            operator: one.operator
            threshold: one.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: [people.id] }
    }
  }
]

// The tick sends dead letters again within a minute where it can: what is still there after a quarter of an hour needs a person.
resource deadLetters 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'joinery-dead-letters'
  location: 'global'
  tags: tags
  properties: {
    description: 'Dead letters stay in the queue: joinery parked list.'
    severity: 2
    enabled: true
    scopes: [namespaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'dead'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: 'DeadletteredMessages'
          dimensions: [{ name: 'EntityName', operator: 'Include', values: [queueName] }]
          timeAggregation: 'Minimum'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: [{ actionGroupId: people.id }]
  }
}

// The service does not tell how old the oldest message is; that the queue has not been short for a quarter of an hour says the same.
resource backlog 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'joinery-backlog'
  location: 'global'
  tags: tags
  properties: {
    description: 'More than 200 messages have waited for a quarter of an hour: handling stands still, or the store, Graph or Halo is slow.'
    severity: 2
    enabled: true
    scopes: [namespaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'waiting'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: 'ActiveMessages'
          dimensions: [{ name: 'EntityName', operator: 'Include', values: [queueName] }]
          timeAggregation: 'Minimum'
          operator: 'GreaterThan'
          threshold: 200
        }
      ]
    }
    actions: [{ actionGroupId: people.id }]
  }
}

resource healthTest 'Microsoft.Insights/webtests@2022-06-15' = {
  name: 'joinery-health'
  location: location
  tags: union(tags, { 'hidden-link:${componentId}': 'Resource' })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: 'joinery-health'
    Name: 'joinery-health'
    Enabled: true
    Kind: 'standard'
    Frequency: 300
    Timeout: 30
    RetryEnabled: true
    Locations: [for place in healthLocations: { Id: place }]
    Request: { RequestUrl: healthUrl, HttpVerb: 'GET' }
    ValidationRules: { ExpectedHttpStatusCode: 200, SSLCheck: true, SSLCertRemainingLifetimeCheck: 7 }
  }
}

resource unhealthy 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'joinery-health'
  location: 'global'
  tags: tags
  properties: {
    description: 'Health is not 200: the subscriptions are missing, no sweep has run, or store or queue do not answer. Its JSON says which.'
    severity: 1
    enabled: true
    scopes: [healthTest.id, componentId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: healthTest.id
      componentId: componentId
      failedLocationCount: 2
    }
    actions: [{ actionGroupId: people.id }]
  }
}
